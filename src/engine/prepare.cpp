// From input arrays to the rows an engine reads.
#include "engine/prepare.hpp"

#include "engine/findings.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

namespace attn::engine {

namespace {

/// The turns of rows that stand at first_position[b] + i. Batch entries that begin at the same position share their tables.
std::vector<Turn> turns(const Plan& plan, const std::vector<std::int64_t>& first_position, std::size_t length) {
  std::vector<Turn> all;
  if (plan.options.rope == RopePairing::none || length == 0) return all;
  std::map<std::int64_t, std::shared_ptr<const Rope>> known;
  for (const std::int64_t first : first_position) {
    std::shared_ptr<const Rope>& rope = known[first];
    if (rope == nullptr) {
      const std::int64_t last = first + static_cast<std::int64_t>(length) - 1;
      rope = std::make_shared<const Rope>(plan.options, plan.dims.head_dim, first, last);
    }
    all.push_back({rope, first});
  }
  return all;
}

/// Counts the zero vectors that `matters(batch, head, row)` says some pair is computed from.
template <class T, class Matters>
std::size_t count_zeros(const RowSource<T>& source, const NamedArray& input, Policy policy, const Matters& matters) {
  std::size_t zeros = 0;
  visit_rows(source, [&](std::size_t b, std::size_t h, std::size_t i, const T* row) {
    if (std::any_of(row, row + source.dim(), [](T x) { return x != 0; }) || !matters(b, h, i)) return true;
    ++zeros;
    if (policy == Policy::error)
      throw Error(Status::data,
                  fmt::format("{}: row {} is a zero vector, which has no cosine (--zero-vectors error)", input.name, i));
    return true;
  });
  return zeros;
}

}  // namespace

template <class T>
Operands<T> widened_rows(const Inputs& inputs) {
  Operands<T> operands;
  operands.query = RowSource<T>({}, inputs.query, inputs.heads);
  operands.key = RowSource<T>(inputs.past_key, inputs.key, inputs.packed_kv_heads());
  operands.value = RowSource<T>(inputs.past_value, inputs.value, inputs.packed_kv_heads());
  for (RowSource<T>* source : {&operands.query, &operands.key, &operands.value}) source->let_pass(inputs.passing);
  operands.residual = operands.query;
  return operands;
}

template <class T>
Operands<T> prepare(const Plan& plan, const Inputs& inputs, Findings& findings) {
  Operands<T> operands = widened_rows<T>(inputs);
  RowTransform query;
  RowTransform key;
  query.turns = turns(plan, plan.query_offset, plan.dims.q_len);
  key.turns = turns(plan, std::vector<std::int64_t>(plan.dims.batch, 0), plan.dims.kv_len);
  if (plan.options.score == Score::cosine) {
    const auto key_matters = [&plan](std::size_t b, std::size_t h, std::size_t j) { return some_query_sees(plan, b, h, j); };
    const auto query_matters = [&plan](std::size_t b, std::size_t h, std::size_t i) { return sees_some_key(plan, b, h, i); };
    const Policy policy = plan.options.zero_vectors;
    // A rotation leaves zero vectors zero, and no others.
    findings.zero_queries = count_zeros(operands.query, inputs.query, policy, query_matters);
    findings.zero_keys = count_zeros(operands.key, inputs.key, policy, key_matters);
    query.to_unit_length = key.to_unit_length = true;
    if (policy == Policy::nan) {
      query.zero_is_nan = query_matters;
      key.zero_is_nan = key_matters;
    }
  }
  operands.query.set_transform(std::move(query));
  operands.key.set_transform(std::move(key));
  return operands;
}

template Operands<float> widened_rows(const Inputs&);
template Operands<double> widened_rows(const Inputs&);
template Operands<float> prepare(const Plan&, const Inputs&, Findings&);
template Operands<double> prepare(const Plan&, const Inputs&, Findings&);

}  // namespace attn::engine
