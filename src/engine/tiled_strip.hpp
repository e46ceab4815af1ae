// Blocks of queries that share a key/value head, taken together over its keys span by span.
#pragma once

#include "engine/tiled_walk.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace attn::engine {

/// The keys of one span and their values as the kernels want them: where they are, or made in the thread's memory. `several` says
/// that more than one block will read them, so that rows that lie far apart are worth copying together.
template <class T>
[[nodiscard]] KeySpan<T> load_span(const TiledJob<T>& job, std::size_t batch, std::size_t kv_head, const KeyRange& keys,
                                   bool with_values, bool several, TiledScratch<T>& scratch);

/// The queries of a block, and of those after it, and the first of `keys`, as they lie in memory; nothing if they must be made.
template <class T>
[[nodiscard]] kernels::Ahead<T> queries_ahead(const TiledJob<T>& job, const BlockPlace& place);
template <class T>
[[nodiscard]] kernels::Ahead<T> keys_ahead(const TiledJob<T>& job, const BlockPlace& place, const KeyRange& keys);

/// The sums of a block grow by the walk's span: alone first, where they are joined to what came before.
template <class T>
void add_span(const TiledJob<T>& job, TiledWalk<T>& walk, TiledBlock<T>& block, TiledScratch<T>& scratch);

/// Does all that the observers ask for, for a few blocks of one key/value head. Each span of keys is made once and read by all of
/// them while it is in the cache.
template <class T>
class TiledStrip {
 public:
  /// `between` is called now and then and may throw to stop the work.
  TiledStrip(const TiledJob<T>& job, TiledScratch<T>& scratch, const std::function<void()>& between)
      : job_(job), scratch_(scratch), between_(between) {}

  void add(const BlockPlace& place);
  /// The block that this thread will begin with after this strip, as far as can be told. It need not come true.
  void expect(const BlockPlace& next) { next_ = next; }
  void run();

 private:
  /// Calls f(walk, block) for each span of `length` keys, and in it for each block that sees some of it.
  template <class F>
  void for_each_span(std::size_t length, bool with_values, bool all_keys, F&& f);
  /// Tells the last walk of the strip what comes after it.
  void look_ahead();
  void sums();

  const TiledJob<T>& job_;
  TiledScratch<T>& scratch_;
  const std::function<void()>& between_;
  std::vector<std::unique_ptr<TiledBlock<T>>> blocks_;
  std::optional<BlockPlace> next_;
};

}  // namespace attn::engine
