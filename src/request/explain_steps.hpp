// The steps of an explanation, made from traced heads.
#pragma once

#include "analysis/trace.hpp"
#include "request/explain.hpp"
#include "request/run_inputs.hpp"

namespace attn::request {

/// What steps are made from.
struct Explained {
  const RunInputs& inputs;
  const engine::Plan& plan;
  const analysis::HidingRules& rules;
  std::size_t digits = 6;

  [[nodiscard]] std::string number(double x) const;
  [[nodiscard]] std::string query_name(std::size_t i) const;
  [[nodiscard]] std::string key_name(std::size_t j) const;
};

/// All stages of one head; `heading` stands before its titles ("head 1: "), or is empty.
[[nodiscard]] std::vector<Step> steps_of_head(const Explained& explained, const analysis::HeadTrace& trace,
                                              const std::string& heading);

/// One weight: its features, scale, bias, rivals, and what its key and the others do to the output.
[[nodiscard]] std::vector<Step> steps_of_weight(const Explained& explained, const analysis::HeadTrace& trace, std::size_t i,
                                                std::size_t j);

/// An array of [length, dim], or several of them, as grids.
[[nodiscard]] std::vector<NamedGrid> grids_of(const Explained& explained, const std::string& caption, const Array& array,
                                              bool rows_are_keys);

}  // namespace attn::request
