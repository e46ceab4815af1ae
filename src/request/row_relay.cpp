// Finished rows as bytes, and back.
#include "request/row_relay.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cstring>
#include <vector>

namespace attn::request {

namespace {

using engine::KeyWeight;
using engine::RowFacts;

struct BlockHeader {
  std::size_t batch;
  std::size_t head;
  std::size_t query;
  std::size_t queries;
  std::size_t top_step;
  std::size_t parts;  ///< 1: log-sum-exp, 2: facts, 4: strongest keys
};

template <class V>
void append_bytes(std::string& to, const V* values, std::size_t count) {
  to.append(reinterpret_cast<const char*>(values), count * sizeof(V));  // NOLINT(*-reinterpret-cast)
}

/// Takes `count` values from the front of `bytes`.
template <class V>
std::vector<V> take_values(std::string_view& bytes, std::size_t count) {
  if (bytes.size() / sizeof(V) < count) throw Error(Status::defect, "a rank has sent rows that are cut off");
  std::vector<V> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(V));
  bytes.remove_prefix(count * sizeof(V));
  return values;
}

}  // namespace

template <class T>
void RowRelay<T>::rows(const engine::RowBlock<T>& block) {
  const bool any_empty = std::any_of(block.is_empty, block.is_empty + block.queries, [](std::uint8_t is) { return is != 0; });
  if (!any_empty && !needs_.notes() && !needs_.log_sum_exp) return;
  const bool has_sums = needs_.log_sum_exp;
  const BlockHeader header{block.batch,
                           block.head,
                           block.query,
                           block.queries,
                           needs_.top > 0 ? block.top_step : 0,
                           (has_sums ? 1U : 0U) + (needs_.facts ? 2U : 0U) + (needs_.top > 0 ? 4U : 0U)};
  const std::scoped_lock lock(mutex_);
  append_bytes(bytes_, &header, 1);
  append_bytes(bytes_, block.is_empty, block.queries);
  if (has_sums) append_bytes(bytes_, block.log_sum_exp, block.queries);
  if (needs_.facts) append_bytes(bytes_, block.facts, block.queries);
  if (needs_.top == 0) return;
  append_bytes(bytes_, block.top_count, block.queries);
  append_bytes(bytes_, block.top, block.queries * block.top_step);
}

template <class T>
void replay(std::string_view bytes, std::span<engine::Observer<T>* const> observers) {
  while (!bytes.empty()) {
    const BlockHeader header = take_values<BlockHeader>(bytes, 1).front();
    const auto has = [&](std::size_t part) { return (header.parts & part) != 0 ? header.queries : 0; };
    const std::vector<std::uint8_t> is_empty = take_values<std::uint8_t>(bytes, header.queries);
    const std::vector<double> sums = take_values<double>(bytes, has(1));
    const std::vector<RowFacts> facts = take_values<RowFacts>(bytes, has(2));
    const std::vector<std::size_t> counts = take_values<std::size_t>(bytes, has(4));
    const std::vector<KeyWeight> top = take_values<KeyWeight>(bytes, has(4) * header.top_step);
    const engine::RowBlock<T> block{.batch = header.batch,
                                    .head = header.head,
                                    .query = header.query,
                                    .queries = header.queries,
                                    .output = nullptr,
                                    .log_sum_exp = sums.empty() ? nullptr : sums.data(),
                                    .is_empty = is_empty.data(),
                                    .facts = facts.empty() ? nullptr : facts.data(),
                                    .top = has(4) == 0 ? nullptr : top.data(),
                                    .top_count = counts.empty() ? nullptr : counts.data(),
                                    .top_step = header.top_step};
    for (engine::Observer<T>* observer : observers) observer->rows(block);
  }
}

template class RowRelay<float>;
template class RowRelay<double>;
template void replay<float>(std::string_view, std::span<engine::Observer<float>* const>);
template void replay<double>(std::string_view, std::span<engine::Observer<double>* const>);

}  // namespace attn::request
