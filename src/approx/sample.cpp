// Some of a plan's queries as a plan of their own.
#include "approx/sample.hpp"

#include "base/philox.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

namespace attn::approx {

namespace {

/// The rows of a mask that belong to the chosen queries. A mask that all queries share stays as it is.
engine::MaskPart chosen_rows(const engine::MaskPart& part, const engine::Dims& d, const std::vector<std::size_t>& queries) {
  if (part.stride[2] == 0) return part;
  const std::size_t batch = part.stride[0] == 0 ? 1 : d.batch;
  const std::size_t heads = part.stride[1] == 0 ? 1 : d.heads;
  const std::size_t keys = part.stride[3] == 0 ? 1 : part.key_count;
  const std::size_t item = item_size(part.array.dtype());
  engine::MaskPart rows = part;
  rows.array = Array(part.array.dtype(), {batch, heads, queries.size(), keys});
  std::byte* to = rows.array.mutable_data();
  for (std::size_t b = 0; b < batch; ++b) {
    for (std::size_t h = 0; h < heads; ++h) {
      for (const std::size_t i : queries) {
        const std::byte* from = part.array.data() + part.offset(b, h, i) * item;
        for (std::size_t j = 0; j < keys; ++j, to += item) std::memcpy(to, from + j * part.stride[3] * item, item);
      }
    }
  }
  rows.stride[2] = keys;
  rows.stride[1] = heads == 1 ? 0 : queries.size() * keys;
  rows.stride[0] = batch == 1 ? 0 : heads * queries.size() * keys;
  rows.stride[3] = part.stride[3] == 0 ? 0 : 1;
  return rows;
}

engine::Segments chosen_segments(const engine::Segments& segments, const engine::Dims& d,
                                 const std::vector<std::size_t>& queries) {
  if (segments.empty()) return segments;
  engine::Segments chosen = segments;
  chosen.query.clear();
  const std::size_t batch = segments.query_stride == 0 ? 1 : d.batch;
  for (std::size_t b = 0; b < batch; ++b)
    for (const std::size_t i : queries) chosen.query.push_back(segments.query[b * segments.query_stride + i]);
  chosen.query_stride = batch == 1 ? 0 : queries.size();
  return chosen;
}

/// The plan that has these queries only.
engine::Plan chosen_plan(const engine::Plan& whole, const std::vector<std::size_t>& queries) {
  engine::Plan plan = whole;
  plan.dims.q_len = queries.size();
  plan.chosen = queries;
  if (!whole.chosen.empty())
    for (std::size_t& i : plan.chosen) i = whole.chosen[i];
  for (engine::MaskPart& part : plan.masks) part = chosen_rows(part, whole.dims, queries);
  plan.segments = chosen_segments(whole.segments, whole.dims, queries);
  return plan;
}

}  // namespace

std::vector<std::size_t> random_queries(std::size_t q_len, std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> queries;
  if (count >= q_len) {
    queries.resize(q_len);
    std::iota(queries.begin(), queries.end(), std::size_t{0});
    return queries;
  }
  // Floyd's method (Bentley and Floyd 1987): a set of `count`, each equally likely, from as many draws.
  constexpr std::uint32_t stream = 0x6170;
  const RandomWords words(seed, stream);
  std::set<std::size_t> chosen;
  for (std::size_t last = q_len - count; last < q_len; ++last) {
    const std::size_t drawn = words.pair(last)[0] % (last + 1);
    chosen.insert(chosen.contains(drawn) ? last : drawn);
  }
  queries.assign(chosen.begin(), chosen.end());
  return queries;
}

template <class T>
Sample<T>::Sample(const engine::Plan& whole, const engine::Operands<T>& whole_operands, const std::vector<std::size_t>& queries)
    : plan(chosen_plan(whole, queries)), operands(whole_operands) {
  // Positions of the copies are the numbers of the chosen queries in `whole`.
  const engine::Dims& d = plan.dims;
  const auto gather = [&](const engine::RowSource<T>& rows, std::vector<T>& copies) {
    const std::size_t dim = rows.dim();
    copies.resize(d.batch * d.heads * d.q_len * dim);
    T* to = copies.data();
    for (std::size_t b = 0; b < d.batch; ++b)
      for (std::size_t h = 0; h < d.heads; ++h)
        for (const std::size_t i : queries) {
          rows.make(b, h, i, 1, to);
          to += dim;
        }
    return engine::RowSource<T>(engine::Rows<T>{copies.data(), d.heads * d.q_len * dim, d.q_len * dim, dim}, dim);
  };
  operands.query = gather(whole_operands.query, query_);
  if (plan.options.residual) operands.residual = gather(whole_operands.residual, residual_);
}

template struct Sample<float>;
template struct Sample<double>;

}  // namespace attn::approx
