// The table of what people do differently when they write attention: each deviation with its name, a sentence, and what it
// changes.
#pragma once

#include "analysis/convention.hpp"
#include "engine/plan.hpp"

#include <functional>
#include <string>
#include <vector>

namespace attn::analysis {

/// One thing that differs from what was asked for.
struct Deviation {
  std::string name;   ///< "scale-none"
  std::string group;  ///< of one group only one deviation can be at work
  std::string sentence;
  std::string told_apart_by;  ///< the input that would show it
  std::string flags;          ///< what makes attn run do the same, empty where nothing does
  std::function<void(Convention&)> apply;
};

/// The deviations that have a meaning for these inputs and options, in the order in which two are applied.
[[nodiscard]] std::vector<Deviation> deviations_of(const Convention& asked, const engine::Plan& plan);

/// Its two halves.
void append_score_deviations(const Convention& asked, const engine::Plan& plan, std::vector<Deviation>& list);
void append_mask_deviations(const Convention& asked, const engine::Plan& plan, std::vector<Deviation>& list);

}  // namespace attn::analysis
