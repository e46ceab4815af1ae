// Explanation from files to steps: read, plan, trace, and put each stage beside its formula.
#pragma once

#include "request/claim.hpp"
#include "request/run.hpp"

#include <string>
#include <vector>

namespace attn::request {

enum class ExplainFormat { text, markdown, latex };

template <>
struct Names<ExplainFormat> {
  static constexpr std::array<std::pair<std::string_view, ExplainFormat>, 3> list{
      {{"text", ExplainFormat::text}, {"markdown", ExplainFormat::markdown}, {"latex", ExplainFormat::latex}}};
};

struct ExplainRequest : RunRequest {
  std::string at;          ///< "I,J", "H,I,J" or "B,H,I,J", from 0; empty: everything
  std::size_t digits = 6;  ///< significant ones
  ExplainFormat to = ExplainFormat::text;
};

[[nodiscard]] const Table<ExplainRequest>& explain_table();

/// Numbers with names for their rows and columns, as text.
struct NamedGrid {
  std::string caption;
  std::vector<std::string> columns;  ///< names; the first stands above the row names
  std::vector<std::vector<std::string>> rows;
};

/// One stage: what is done, by which formula, and what comes out.
struct Step {
  std::string title;
  std::string formula;  ///< for a line of text
  std::string latex;    ///< the same for mathematics mode
  std::vector<NamedGrid> grids;
  std::vector<std::string> notes;
};

struct Explanation {
  std::vector<Step> steps;
};

/// Computes in float64. Throws what reading and planning throw, and Error(usage) for a case that is too large to read, for
/// --combine rows, and for an --at that names no pair.
[[nodiscard]] Explanation explain(const ExplainRequest& request, const RunContext& context);

/// Shows it in the format and at the place that were asked for. Throws Error(io) when it cannot be written.
void write_explanation(const ExplainRequest& request, const Explanation& explanation, const RunContext& context);

[[nodiscard]] std::string explanation_text(const Explanation& explanation);
[[nodiscard]] std::string explanation_markdown(const Explanation& explanation);
/// A fragment for a document that has the package amsmath.
[[nodiscard]] std::string explanation_latex(const Explanation& explanation);

}  // namespace attn::request
