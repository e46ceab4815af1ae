// Everything `attn linear` can be asked, as one value: what it has in common with attn run, and the recurrence.
#pragma once

#include "engine/recurrence.hpp"
#include "request/run_request.hpp"

#include <optional>
#include <string>

namespace attn::request {

/// FILE members are as the user wrote them; empty is "not given".
struct LinearRequest {
  RunRequest run;
  std::optional<engine::UpdateRule> rule;  ///< default: by decay and beta
  std::string decay;
  std::string beta;
  std::string past_state;
  std::string present_state;
  CommonSettings common;
};

[[nodiscard]] const Table<LinearRequest>& linear_table();

template <>
struct Names<engine::UpdateRule> {
  static constexpr std::array<std::pair<std::string_view, engine::UpdateRule>, 4> list{
      {{"linear", engine::UpdateRule::linear},
       {"gated", engine::UpdateRule::gated},
       {"delta", engine::UpdateRule::delta},
       {"gated-delta", engine::UpdateRule::gated_delta}}};
};

}  // namespace attn::request
