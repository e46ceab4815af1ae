// Some of a plan's queries as a plan of their own: what is too dear to compute for all is computed for these.
#pragma once

#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <attn/array.hpp>

#include <cstdint>
#include <vector>

namespace attn::approx {

/// `count` different queries below `q_len`, ascending; all of them when there are no more. A seed gives the same ones everywhere.
[[nodiscard]] std::vector<std::size_t> random_queries(std::size_t q_len, std::size_t count, std::uint64_t seed);

/// Chosen queries of all batch entries and heads, against the same keys and under the same masks. The rows are copies, [batch,
/// heads, chosen, head_dim]. T is float or double.
template <class T>
struct Sample {
  Sample(const engine::Plan& whole, const engine::Operands<T>& whole_operands, const std::vector<std::size_t>& queries);
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  engine::Plan plan;
  engine::Operands<T> operands;

 private:
  std::vector<T> query_;
  std::vector<T> residual_;
};

}  // namespace attn::approx
