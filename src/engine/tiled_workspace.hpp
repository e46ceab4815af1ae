// The memory of the tiled engine: what a thread works in, and what each of its blocks of queries keeps.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "engine/row_notes.hpp"
#include "engine/upcoming.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace attn::engine {

/// An array of T aligned for vectors, zero at first unless said otherwise.
template <class T>
class AlignedArray {
 public:
  enum class Start { zero, unset };

  AlignedArray() = default;
  explicit AlignedArray(std::size_t size, Start start = Start::zero) { resize(size, start); }

  [[nodiscard]] T* get() const noexcept { return data_.get(); }
  /// At least `size` elements; what they held is lost when there were fewer.
  void reserve(std::size_t size) {
    if (size > size_) resize(size, Start::zero);
  }

 private:
  struct Free {
    void operator()(T* p) const noexcept { ::operator delete(p, std::align_val_t(64)); }
  };
  void resize(std::size_t size, Start start) {
    const std::size_t bytes = (size == 0 ? 1 : size) * sizeof(T);
    data_.reset(static_cast<T*>(::operator new(bytes, std::align_val_t(64))));
    if (start == Start::zero) std::uninitialized_fill_n(data_.get(), size, T(0));
    size_ = size;
  }

  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

/// The sums of a block's queries over some keys; the output is not set before they are cleared.
template <class T>
struct alignas(64) Sums {
  explicit Sums(std::size_t value_dim) : output(value_dim * kernels::kLanes, AlignedArray<T>::Start::unset) {}

  kernels::SoftmaxRows<T> rows = {};
  T second[kernels::kLanes] = {};      ///< of the second softmax of two
  T seen[kernels::kLanes] = {};        ///< 1 where a logit was visible
  AlignedArray<T> output;              ///< [value_dim][kLanes]
  std::unique_ptr<RowNotes<T>> notes;  ///< made when something asks for them
};

/// What a block of queries keeps from span to span, and hands on to the next block.
template <class T>
struct BlockMemory {
  BlockMemory(std::size_t head_dim, std::size_t value_dim)
      : queries(head_dim * kernels::kLanes, AlignedArray<T>::Start::unset), total(value_dim) {}

  [[nodiscard]] static std::uint64_t bytes(std::size_t head_dim, std::size_t value_dim) noexcept {
    return (head_dim + value_dim) * kernels::kLanes * sizeof(T) + sizeof(BlockMemory);
  }

  AlignedArray<T> queries;                      ///< [head_dim][kLanes], or for a few lanes [lanes][head_dim]
  AlignedArray<std::byte> product_queries;      ///< the queries in the form of other products than the kernels'
  Sums<T> total;                                ///< of all spans so far
  kernels::SoftmaxRows<T> statistics = {};      ///< the running softmax of the logits themselves, where it is needed before
  KeyRange lane_range[kernels::kLanes];         ///< what the query of each lane may see
  alignas(64) T divisor[kernels::kLanes] = {};  ///< of the output, once it is known
  double log_sum_exp[kernels::kLanes] = {};     ///< of each lane, when asked for
  std::uint8_t is_empty[kernels::kLanes] = {};  ///< 1 where a lane has seen no key
};

/// What the final weights of all queries are made from, for a walk that comes back to them.
template <class T>
struct RowSums {
  std::vector<T> maximum;             ///< [batch, heads, q_len], of the running softmax, or of the second of two
  std::vector<T> divisor;             ///< likewise
  std::vector<T> statistics_maximum;  ///< of the first of two softmaxes, else empty
  std::vector<T> statistics_sum;
};

/// What the notes on one block's rows take.
template <class T>
[[nodiscard]] std::uint64_t notes_bytes(const Dims& d, const Needs& needs) noexcept {
  if (!needs.notes()) return 0;
  const std::uint64_t lanes = std::min<std::uint64_t>(kernels::kLanes, d.heads / d.kv_heads * d.q_len);
  // A heap grows by doubling.
  return sizeof(RowNotes<T>) +
         lanes * (sizeof(std::vector<KeyLogit<T>>) + 2 * std::min(needs.top, d.kv_len) * sizeof(KeyLogit<T>));
}

/// One number for each pair of a block and keys [begin, end), [lanes][stride], on its way to the observers.
template <class T>
struct PairRows {
  AlignedArray<T> numbers;
  std::size_t stride = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// What one thread works in.
template <class T>
struct TiledScratch {
  static constexpr std::size_t kTile = kernels::kKeys * kernels::kLanes;

  TiledScratch(std::size_t head_dim, std::size_t value_dim, bool biased)
      : queries(head_dim * kernels::kLanes),
        rows(value_dim * kernels::kLanes),
        few_output(value_dim * kernels::kFewLanes),
        tile(kTile),
        bias_rows(biased ? kTile : 0),
        bias(biased ? kTile : 0),
        part(value_dim) {
    std::fill_n(ones, kernels::kLanes, T(1));
  }

  AlignedArray<T> keys;                ///< [span][head_dim], when keys are made from their input
  AlignedArray<T> values;              ///< [span][value_dim]
  AlignedArray<T> queries;             ///< [lanes][head_dim], when queries are
  AlignedArray<T> rows;                ///< [lanes][value_dim], the finished output
  AlignedArray<T> few_output;          ///< [lanes][value_dim], the output of a few lanes while it grows
  AlignedArray<T> tile;                ///< [kKeys][kLanes]: scores, logits, weights
  AlignedArray<T> bias_rows;           ///< [kLanes][kKeys], as the plan gives it
  AlignedArray<T> bias;                ///< [kKeys][kLanes]
  AlignedArray<T> visible;             ///< [kKeys][kLanes], reserved when masked values hold NaN or infinity
  AlignedArray<T> kept;                ///< [tiles][kKeys][kLanes], logits of all keys, where they are kept for the weights
  std::vector<std::uint8_t> has_kept;  ///< [tiles]: 0 where masks hide the tile
  AlignedArray<std::byte> products;    ///< what other products than the kernels' work in
  PairRows<T> pairs[3];                ///< those of weights; or of raw, capped and masked scores
  Sums<T> part;                        ///< the sums over one span
  std::vector<RowFacts> facts;         ///< [lanes], finished
  std::vector<KeyWeight> top;          ///< [lanes][as many as are asked for]
  std::vector<std::size_t> top_count;  ///< [lanes]
  alignas(64) T ones[kernels::kLanes] = {};
  alignas(64) T lane_begin[kernels::kLanes] = {};
  alignas(64) T lane_end[kernels::kLanes] = {};
  alignas(64) T position[kernels::kLanes] = {};
  std::uint64_t keep[kernels::kKeys] = {};
  Upcoming<T> upcoming;  ///< what comes after the walk at hand
  /// Those of a strip. They stay for the next strip: memory that is given back costs a page fault for each 4 KB of it.
  std::vector<std::unique_ptr<BlockMemory<T>>> blocks;
};

/// Lends scratch memory to threads; there is as much as ever was in use at once.
template <class T>
class TiledPool {
 public:
  TiledPool(std::size_t head_dim, std::size_t value_dim, bool biased)
      : head_dim_(head_dim), value_dim_(value_dim), biased_(biased) {}

  /// Calls f with scratch memory that no other thread uses meanwhile.
  template <class F>
  void lend(F&& f) {
    std::unique_ptr<TiledScratch<T>> scratch = take();
    scratch->upcoming.start(false);
    f(*scratch);
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::unique_ptr<TiledScratch<T>> take() {
    {
      const std::scoped_lock lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<TiledScratch<T>> scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<TiledScratch<T>>(head_dim_, value_dim_, biased_);
  }

  const std::size_t head_dim_;
  const std::size_t value_dim_;
  const bool biased_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<TiledScratch<T>>> free_;
};

}  // namespace attn::engine
