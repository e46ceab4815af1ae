// Rows asked for from memory while something else is computed, so that they are there when they are needed.
// Included once for each target.
#if defined(ATTN_KERNELS_PREFETCH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_PREFETCH_INL_HPP
#undef ATTN_KERNELS_PREFETCH_INL_HPP
#else
#define ATTN_KERNELS_PREFETCH_INL_HPP
#endif

#include "kernels/vector-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

inline constexpr size_t kLine = 64;  ///< bytes of a cache line

/// Which cache it is that is asked to hold the rows.
inline constexpr int kSecondCache = 2;
inline constexpr int kFirstCache = 3;

/// The lines of some rows, asked for a few at a time: all of a row's at once would hold up the loads that are needed now. They
/// are taken from kPlaces places of the rows in turn. A core waits for some 16 lines at once on its own, and its second cache
/// runs ahead of what it is asked for by some 20 lines of the same page: several pages at a time keep more of them underway than
/// one, as many as it takes to read at memory's full speed.
template <class T, int kCache, size_t kPlaces>
class Lines {
 public:
  HWY_INLINE Lines(const T* rows, size_t stride, size_t count, size_t dim) {
    if (rows == nullptr || count == 0 || dim == 0) return;
    // The last place may end behind the last row: asking does no harm there, but pointers would.
    const size_t each = (count + kPlaces - 1) / kPlaces;
    const bool is_whole = stride == dim;  // no gap between rows
    runs_ = left_ = is_whole ? 1 : each;
    length_ = (is_whole ? each * dim : dim) * sizeof(T);
    stride_ = stride * sizeof(T);
    apart_ = each * stride_;
    at_ = reinterpret_cast<std::uintptr_t>(rows);
    stop_ = at_ + length_;
  }

  explicit HWY_INLINE Lines(const Ahead<T>& ahead) : Lines(ahead.rows, ahead.stride, ahead.count, ahead.dim) {}

  /// Asks for about kBytes more, as far as any are left.
  template <size_t kBytes>
  HWY_INLINE void ask() {
    constexpr size_t kSteps = HWY_MAX(kBytes / kStep, size_t{1});
    if constexpr (kBytes % kStep != 0) {
      owed_ += kBytes;
      if (owed_ < kStep) return;
      owed_ -= kSteps * kStep;
    }
    steps<kSteps>();
  }

  /// Asks for what is left of the part that belongs to the first `row` of `rows` rows of the product at hand.
  HWY_INLINE void until(size_t row, size_t rows) {
    const size_t each = (length_ + kLine - 1) / kLine;
    const size_t end = row * runs_ * each / rows;
    for (size_t done = (runs_ - left_) * each + (length_ - (stop_ - at_)) / kLine; done < end; ++done) step();
  }

 private:
  static constexpr size_t kStep = kLine * kPlaces;

  template <size_t kSteps>
  HWY_INLINE void steps() {
    if (HWY_LIKELY(stop_ - at_ > kSteps * kLine)) {
      ATTN_UNROLL
      for (size_t i = 0; i < kSteps; ++i) lines(at_ + i * kLine);
      at_ += kSteps * kLine;
    } else {
      for (size_t i = 0; i < kSteps; ++i) step();
    }
  }

  HWY_INLINE void step() {
    if (left_ == 0) return;
    lines(at_);
    at_ += HWY_MIN(kLine, stop_ - at_);
    if (at_ != stop_) return;
    if (--left_ == 0) return;
    at_ = stop_ - length_ + stride_;
    stop_ += stride_;
  }

  HWY_INLINE void lines(std::uintptr_t at) const {
    ATTN_UNROLL
    for (size_t p = 0; p < kPlaces; ++p) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr)
      __builtin_prefetch(reinterpret_cast<const void*>(at + p * apart_), 0, kCache);
    }
  }

  std::uintptr_t at_ = 0;    ///< the next line of the first place
  std::uintptr_t stop_ = 0;  ///< the end of the memory without a gap that it belongs to,
  size_t length_ = 0;        ///< which has so many bytes
  size_t stride_ = 0;        ///< from one such to the next
  size_t apart_ = 0;         ///< from one place to the next
  size_t runs_ = 0;          ///< of memory without a gap, in each place
  size_t left_ = 0;          ///< of them
  size_t owed_ = 0;          ///< bytes that make no whole step yet
};

/// What the next product needs. It goes to the second cache: the first holds what is being worked on.
template <class T>
using NextLines = Lines<T, kSecondCache, 4>;

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
