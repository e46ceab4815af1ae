// Everything `attn approx` can be asked, as one value, and what it answers.
#pragma once

#include "approx/judge.hpp"
#include "request/run_request.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace attn::request {

enum class ApproxFormat { text, json, csv };

/// Of RunRequest the members of the rows that approx_table() takes from run_table() are used; `output` is that of the one method.
struct ApproxRequest : RunRequest {
  ApproxRequest() { output.clear(); }

  std::string methods;                 ///< "NAME[:SETTING],..."; empty: all that apply
  std::optional<std::size_t> sample;   ///< queries that the exact answer is taken of; not given: all
  std::size_t seed = 0;                ///< of the sample
  std::optional<double> target_error;  ///< the relative output error that a setting is looked for
  std::optional<std::size_t> repeat;
  std::string plot;  ///< a picture of error against time; empty: none
  ApproxFormat to = ApproxFormat::text;
};

[[nodiscard]] const Table<ApproxRequest>& approx_table();

/// One line of the table.
struct ApproxResult {
  approx::Choice choice;
  double seconds = 0;  ///< of the fastest run
  double speed_up = 0;
  approx::Cost cost;
  approx::OutputError error;
  std::array<std::size_t, 3> worst_row = {};    ///< batch entry, head, query
  std::optional<double> divergence;             ///< of weights, in nats; none where weights have no meaning
  bool meets_target = true;                     ///< with --target-error
  std::optional<approx::Promise> promise = {};  ///< of methods that have one
};

struct LeftOut {
  std::string method;
  std::string reason;
};

/// What was measured on what.
struct ApproxTable {
  engine::Dims dims;
  std::string dtype;
  std::string isa;
  std::size_t threads = 1;
  std::size_t queries = 0;   ///< that the exact answer was taken of
  double exact_seconds = 0;  ///< of all queries; from those of the sample where there is one
  approx::Cost exact_cost;
  std::optional<double> target_error;
  std::vector<ApproxResult> results;
  std::vector<LeftOut> left_out;
};

[[nodiscard]] std::string approx_text(const ApproxTable& table);
[[nodiscard]] std::string approx_json(const ApproxTable& table);
[[nodiscard]] std::string approx_csv(const ApproxTable& table);
/// The bytes of a picture of error against time, PNG or SVG as the name of the file says.
[[nodiscard]] std::string approx_picture(const ApproxTable& table, const std::string& file);
/// Throws Error(usage) unless the name is empty or that of a PNG or SVG file.
void check_picture_name(const std::string& file);

template <>
struct Names<ApproxFormat> {
  static constexpr std::array<std::pair<std::string_view, ApproxFormat>, 3> list{
      {{"text", ApproxFormat::text}, {"json", ApproxFormat::json}, {"csv", ApproxFormat::csv}}};
};

}  // namespace attn::request
