// What the tiled engine learns of a block's rows while it makes their sums: moments of the weights, the largest logits.
#pragma once

#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::engine {

/// A key with its logit, negated for softmin: every normalizer gives the larger logit the larger weight.
template <class T>
struct KeyLogit {
  T logit;
  std::size_t key;
};

/// The `most` keys with the largest logits of each lane, of equal logits those with the lowest numbers. Keys must come in
/// ascending order.
template <class T>
class TopKeys {
 public:
  /// Forgets all keys.
  void reset(std::size_t most, std::size_t lanes);
  /// Takes the logits of `count` keys from `first` on.
  void take(const kernels::KernelTable<T>& k, const T* tile, std::size_t count, std::size_t lanes, std::size_t first);
  /// Adds the keys of the span behind all that were taken.
  void join(const TopKeys& part);
  /// The keys of a lane, strongest first. Nothing may be taken after that.
  const std::vector<KeyLogit<T>>& sorted(std::size_t lane);
  /// What is kept of a lane, once sorted.
  [[nodiscard]] const std::vector<KeyLogit<T>>& kept(std::size_t lane) const noexcept { return heaps_[lane]; }

 private:
  /// Lists up to this long are kept in order, which is faster than a heap.
  static constexpr std::size_t most_sorted = 64;

  void add(std::size_t lane, KeyLogit<T> entry);
  void insert(std::size_t lane, KeyLogit<T> entry);

  std::size_t most_ = 0;
  alignas(64) T threshold_[kernels::kLanes] = {};  ///< what a logit must exceed to be kept
  std::vector<std::vector<KeyLogit<T>>> heaps_;    ///< of each lane: in order, or heaps with the weakest first
};

/// Sums over a lane's keys so far of u, u ln u and u |p - j|, u the weights up to their divisor, and the largest logit.
template <class T>
struct alignas(64) RowNotes {
  double mass[kernels::kLanes];
  double information[kernels::kLanes];
  double distance[kernels::kLanes];
  T best[kernels::kLanes];
  std::size_t key[kernels::kLanes];  ///< of the largest logit
  TopKeys<T> top;
  bool has_facts = false;  ///< all but `top` is asked for

  void reset(bool facts, std::size_t most, std::size_t lanes);
  /// Takes the logits of a tile whose first key is `first`.
  void take_logits(const kernels::KernelTable<T>& k, const T* tile, std::size_t count, std::size_t lanes, std::size_t first);
  /// Takes the weights of a tile. All sums so far are multiplied by `rescale` before. `position` counts from the tile's first
  /// key.
  void take_weights(const kernels::KernelTable<T>& k, const T* tile, std::size_t count, std::size_t lanes, const T* position,
                    const T* rescale);
  /// Adds those of the next span. `rows` and `part_rows` are the running softmaxes that the two belong to, before they are
  /// joined.
  void join(const kernels::KernelTable<T>& k, const RowNotes& part, const kernels::SoftmaxRows<T>& rows,
            const kernels::SoftmaxRows<T>& part_rows, std::size_t lanes, bool natural);
};

}  // namespace attn::engine
