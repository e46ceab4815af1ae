// The memory one thread of the tiled engine works in, made once and used for all its blocks.
#pragma once

#include "kernels/kernels.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace attn::engine {

/// An array of T aligned for vectors, zero at first.
template <class T>
class AlignedArray {
 public:
  explicit AlignedArray(std::size_t size) : data_(static_cast<T*>(::operator new(bytes(size), std::align_val_t(64)))) {
    std::uninitialized_fill_n(data_.get(), size, T(0));
  }
  [[nodiscard]] T* get() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const noexcept { ::operator delete(p, std::align_val_t(64)); }
  };
  static std::size_t bytes(std::size_t size) { return (size == 0 ? 1 : size) * sizeof(T); }
  std::unique_ptr<T, Free> data_;
};

template <class T>
struct TiledWorkspace {
  static constexpr std::size_t kTile = kernels::kKeys * kernels::kLanes;

  TiledWorkspace(std::size_t head_dim, std::size_t value_dim, bool biased)
      : query(head_dim * kernels::kLanes),
        output(value_dim * kernels::kLanes),
        rows(value_dim * kernels::kLanes),
        tile(kTile),
        bias_rows(biased ? kTile : 0),
        bias(biased ? kTile : 0) {}

  AlignedArray<T> query;                     ///< [head_dim][kLanes]
  AlignedArray<T> output;                    ///< [value_dim][kLanes]
  AlignedArray<T> rows;                      ///< [queries][value_dim], the finished output
  AlignedArray<T> tile;                      ///< [kKeys][kLanes]: scores, logits, weights
  AlignedArray<T> bias_rows;                 ///< [kLanes][kKeys], as the plan gives it
  AlignedArray<T> bias;                      ///< [kKeys][kLanes]
  std::unique_ptr<AlignedArray<T>> visible;  ///< [kKeys][kLanes], made when masked values hold NaN or infinity
};

/// Lends workspaces to threads; there are as many as ever were in use at once.
template <class T>
class TiledPool {
 public:
  TiledPool(std::size_t head_dim, std::size_t value_dim, bool biased)
      : head_dim_(head_dim), value_dim_(value_dim), biased_(biased) {}

  /// Calls f with a workspace that no other thread uses meanwhile.
  template <class F>
  void lend(F&& f) {
    std::unique_ptr<TiledWorkspace<T>> space = take();
    f(*space);
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(space));
  }

 private:
  std::unique_ptr<TiledWorkspace<T>> take() {
    {
      const std::scoped_lock lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<TiledWorkspace<T>> space = std::move(free_.back());
        free_.pop_back();
        return space;
      }
    }
    return std::make_unique<TiledWorkspace<T>>(head_dim_, value_dim_, biased_);
  }

  const std::size_t head_dim_;
  const std::size_t value_dim_;
  const bool biased_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<TiledWorkspace<T>>> free_;
};

}  // namespace attn::engine
