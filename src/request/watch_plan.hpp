// What statistics and strongest pairs ask of a walk, and how large their tables are.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "request/output_plan.hpp"
#include "request/run_request.hpp"

#include <optional>
#include <string>
#include <vector>

namespace attn::request {

/// Refuses settings without meaning: a share of the mass beyond 0 to 1, or of columns.
void check_watch(const WatchSettings& settings);

/// The settings where --max-memory, if it is given, is the bound of tables in the place of most_pairs.
[[nodiscard]] WatchSettings bounded_by(WatchSettings settings, const std::optional<ByteSize>& max_memory);

/// What the tables ask for, of weights or of norms.
[[nodiscard]] engine::Needs table_needs(const WatchSettings& settings);

/// What the settings ask of an engine.
[[nodiscard]] engine::Needs needs_of(const WatchSettings& settings);

/// The tables and the picture that the settings ask for; `ids` name the queries. Throws Error(memory) for one that holds more
/// pairs than `most_pairs`.
[[nodiscard]] std::vector<OutputPlan> plan_watch(const WatchSettings& settings, const engine::Plan& plan,
                                                 const std::vector<std::string>& ids);

}  // namespace attn::request
