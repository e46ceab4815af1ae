// What happens to a tile between the two products: scores to logits, logits to weights. Included once for each target.
#if defined(ATTN_KERNELS_TILE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_TILE_INL_HPP
#undef ATTN_KERNELS_TILE_INL_HPP
#else
#define ATTN_KERNELS_TILE_INL_HPP
#endif

#include "kernels/math-inl.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

template <class T>
HWY_INLINE Vec<T> masked_value() {
  return hn::Set(Tag<T>(), -kInfinity<T>);
}

/// Clamp, root, factor and cap of one vector.
template <class T>
HWY_INLINE Vec<T> shaped(const LogitStage<T>& stage, Vec<T> x) {
  const Tag<T> d;
  if (stage.clamp) x = larger(hn::Set(d, T(-1)), hn::Neg(larger(hn::Set(d, T(-1)), hn::Neg(x))));
  if (stage.root) x = hn::Sqrt(x);
  x = hn::Mul(x, hn::Set(d, stage.factor));
  if (stage.cap != 0) {
    const Vec<T> cap = hn::Set(d, stage.cap);
    x = hn::Mul(cap, tanh_any<T>(hn::Div(x, cap)));
  }
  return x;
}

/// x where the bits from `lane` on say so, else masked.
template <class T>
HWY_INLINE Vec<T> kept(std::uint64_t bits, size_t lane, Vec<T> x) {
  const std::uint64_t own = bits >> lane;
  std::uint8_t bytes[sizeof(own)];
  std::memcpy(bytes, &own, sizeof(own));
  return hn::IfThenElse(hn::LoadMaskBits(Tag<T>(), bytes), x, masked_value<T>());
}

template <class T, bool kShape, bool kBias, bool kInterval, bool kKeep>
struct LogitPanel {
  template <size_t N>
  static void run(size_t lane, const LogitStage<T>* stage, size_t count, T* tile, T* maximum, T* seen) {
    const Tag<T> d;
    const Vec<T> masked = masked_value<T>();
    Vec<T> top[N];
    Vec<T> any[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      top[v] = masked;
      any[v] = hn::Zero(d);
    }
    for (size_t j = 0; j < count; ++j) {
      const Vec<T> row = hn::Set(d, static_cast<T>(j));
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) {
        const size_t at = lane + v * kWidth<T>;
        T* place = tile + j * kLanes + at;
        Vec<T> x = hn::Load(d, place);
        if constexpr (kShape) x = shaped(*stage, x);
        if constexpr (kBias) {
          const Vec<T> bias = hn::Load(d, stage->bias + j * kLanes + at);
          x = hn::IfThenElse(hn::Eq(bias, masked), masked, hn::Add(x, bias));
        }
        if constexpr (kInterval) {
          const auto inside = hn::And(hn::Ge(row, hn::Load(d, stage->begin + at)), hn::Lt(row, hn::Load(d, stage->end + at)));
          x = hn::IfThenElse(inside, x, masked);
        }
        if constexpr (kKeep) x = kept<T>(stage->keep[j], at, x);
        const auto hidden = hn::Eq(x, masked);
        any[v] = hn::IfThenElse(hidden, any[v], hn::Set(d, T(1)));
        if (stage->negate) x = hn::IfThenElse(hidden, masked, hn::Neg(x));
        top[v] = larger(x, top[v]);
        hn::Store(x, d, place);
      }
    }
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const size_t at = lane + v * kWidth<T>;
      if (maximum != nullptr) hn::Store(larger(top[v], hn::Load(d, maximum + at)), d, maximum + at);
      if (seen != nullptr) hn::Store(larger(any[v], hn::Load(d, seen + at)), d, seen + at);
    }
  }
};

template <class T, bool kShape, bool kBias>
HWY_INLINE void logits_of(const LogitStage<T>& stage, size_t count, size_t lanes, T* tile, T* maximum, T* seen) {
  if (stage.begin != nullptr && stage.keep != nullptr) {
    for_panels<T, LogitPanel<T, kShape, kBias, true, true>>(lanes, &stage, count, tile, maximum, seen);
  } else if (stage.begin != nullptr) {
    for_panels<T, LogitPanel<T, kShape, kBias, true, false>>(lanes, &stage, count, tile, maximum, seen);
  } else if (stage.keep != nullptr) {
    for_panels<T, LogitPanel<T, kShape, kBias, false, true>>(lanes, &stage, count, tile, maximum, seen);
  } else {
    for_panels<T, LogitPanel<T, kShape, kBias, false, false>>(lanes, &stage, count, tile, maximum, seen);
  }
}

template <class T>
void logits(const LogitStage<T>& stage, size_t count, size_t lanes, T* tile, T* maximum, T* seen) {
  const bool shape = stage.clamp || stage.root || stage.factor != 1 || stage.cap != 0;
  if (shape && stage.bias != nullptr) {
    logits_of<T, true, true>(stage, count, lanes, tile, maximum, seen);
  } else if (shape) {
    logits_of<T, true, false>(stage, count, lanes, tile, maximum, seen);
  } else if (stage.bias != nullptr) {
    logits_of<T, false, true>(stage, count, lanes, tile, maximum, seen);
  } else {
    logits_of<T, false, false>(stage, count, lanes, tile, maximum, seen);
  }
}

/// exp(x - maximum), where an infinite maximum means that only equals count.
template <class T, bool kNatural, bool kInfinite>
HWY_INLINE Vec<T> exp_below(Vec<T> x, Vec<T> maximum) {
  const Tag<T> d;
  Vec<T> difference = hn::Sub(x, maximum);
  if constexpr (kInfinite) difference = hn::IfThenElse(hn::Eq(x, maximum), hn::Zero(d), difference);
  if constexpr (kNatural) difference = hn::Mul(difference, hn::Set(d, MathConstants<T>::log2e));
  return exp2_nonpositive<T>(difference);
}

/// A maximum that masked logits can be subtracted from: 0 instead of -inf.
template <class T>
HWY_INLINE Vec<T> usable(Vec<T> maximum) {
  return hn::IfThenElse(hn::Eq(maximum, masked_value<T>()), hn::Zero(Tag<T>()), maximum);
}

/// Exponentials of one panel in place, unless the tile is const; the sums of its lanes are written when asked for.
template <class T, bool kNatural, bool kInfinite>
struct ExpPanel {
  template <size_t N, class Element>
  static void run(size_t lane, Element* tile, size_t count, const T* maximum, T* sums) {
    const Tag<T> d;
    Vec<T> top[N];
    Vec<T> sum[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      top[v] = usable<T>(hn::Load(d, maximum + lane + v * kWidth<T>));
      sum[v] = hn::Zero(d);
    }
    for (size_t j = 0; j < count; ++j) {
      Element* row = tile + j * kLanes + lane;
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) {
        const Vec<T> p = exp_below<T, kNatural, kInfinite>(hn::Load(d, row + v * kWidth<T>), top[v]);
        if constexpr (!std::is_const_v<Element>) hn::Store(p, d, row + v * kWidth<T>);
        sum[v] = hn::Add(sum[v], p);
      }
    }
    if (sums == nullptr) return;
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) hn::Store(sum[v], d, sums + lane + v * kWidth<T>);
  }
};

template <class T>
HWY_INLINE bool any_infinite(const T* values, size_t lanes) {
  const Tag<T> d;
  for (size_t i = 0; i < lanes; i += kWidth<T>)
    if (!hn::AllFalse(d, hn::Eq(hn::Load(d, values + i), hn::Set(d, kInfinity<T>)))) return true;
  return false;
}

template <class T, class Element>
HWY_INLINE void exp_tile(Element* tile, size_t count, size_t lanes, bool natural, const T* maximum, T* sums) {
  if (any_infinite(maximum, lanes)) {
    if (natural) return for_panels<T, ExpPanel<T, true, true>>(lanes, tile, count, maximum, sums);
    return for_panels<T, ExpPanel<T, false, true>>(lanes, tile, count, maximum, sums);
  }
  if (natural) return for_panels<T, ExpPanel<T, true, false>>(lanes, tile, count, maximum, sums);
  for_panels<T, ExpPanel<T, false, false>>(lanes, tile, count, maximum, sums);
}

template <class T>
void exponentials(T* tile, size_t count, size_t lanes, bool natural, const T* maximum) {
  exp_tile<T, T>(tile, count, lanes, natural, maximum, nullptr);
}

/// What a tile's sums do to the running ones; maximum becomes next.
template <class T>
HWY_INLINE void join_step(const T* sums, size_t lanes, bool natural, SoftmaxRows<T>& rows) {
  const Tag<T> d;
  for (size_t i = 0; i < lanes; i += kWidth<T>) {
    const Vec<T> next = hn::Load(d, rows.next + i);
    const Vec<T> last = hn::Load(d, rows.maximum + i);
    const Vec<T> rescale =
        natural ? exp_below<T, true, true>(last, usable<T>(next)) : exp_below<T, false, true>(last, usable<T>(next));
    hn::Store(rescale, d, rows.rescale + i);
    hn::Store(fused(hn::Load(d, rows.sum + i), rescale, hn::Load(d, sums + i)), d, rows.sum + i);
    hn::Store(next, d, rows.maximum + i);
  }
}

/// `Element` is T, or const T where the tile stays as it is.
template <class T, class Element>
HWY_INLINE void sum_step(Element* tile, size_t count, size_t lanes, bool natural, SoftmaxRows<T>& rows) {
  HWY_ALIGN T sums[kLanes];
  exp_tile(tile, count, lanes, natural, static_cast<const T*>(rows.next), static_cast<T*>(sums));
  join_step(static_cast<const T*>(sums), lanes, natural, rows);
}

template <class T>
void softmax_step(T* tile, size_t count, size_t lanes, bool natural, SoftmaxRows<T>& rows) {
  sum_step<T, T>(tile, count, lanes, natural, rows);
}

template <class T>
void softmax_sums(const T* tile, size_t count, size_t lanes, bool natural, SoftmaxRows<T>& rows) {
  sum_step<T, const T>(tile, count, lanes, natural, rows);
}

template <class T>
struct DoublePanel {
  template <size_t N>
  static void run(size_t lane, T* tile, size_t count, bool natural, const SoftmaxRows<T>* rows, T* sums) {
    const Tag<T> d;
    for (size_t at = lane; at < lane + N * kWidth<T>; at += kWidth<T>) {
      const Vec<T> top = usable<T>(hn::Load(d, rows->maximum + at));
      const Vec<T> largest = hn::Div(hn::Set(d, T(1)), hn::Load(d, rows->sum + at));
      Vec<T> sum = hn::Zero(d);
      for (size_t j = 0; j < count; ++j) {
        T* place = tile + j * kLanes + at;
        const Vec<T> x = hn::Load(d, place);
        const Vec<T> first = natural ? exp_below<T, true, true>(x, top) : exp_below<T, false, true>(x, top);
        const Vec<T> weight = hn::Div(first, hn::Load(d, rows->sum + at));
        const Vec<T> second = exp2_nonpositive<T>(hn::Mul(hn::Sub(weight, largest), hn::Set(d, MathConstants<T>::log2e)));
        const Vec<T> p = hn::IfThenElse(hn::Eq(x, masked_value<T>()), hn::Zero(d), second);
        hn::Store(p, d, place);
        sum = hn::Add(sum, p);
      }
      hn::Store(hn::Add(hn::Load(d, sums + at), sum), d, sums + at);
    }
  }
};

template <class T>
void double_step(T* tile, size_t count, size_t lanes, bool natural, const SoftmaxRows<T>& rows, T* sum) {
  for_panels<T, DoublePanel<T>>(lanes, tile, count, natural, &rows, sum);
}

struct Logistic {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    return logistic<T>(x);
  }
};

struct ZeroMasked {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    return hn::IfThenElse(hn::Eq(x, masked_value<T>()), hn::Zero(Tag<T>()), x);
  }
};

struct Canonical {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    return canonical<T>(x);
  }
};

struct Divide {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t lane, const T* divisor) {
    const Tag<T> d;
    const Vec<T> by = hn::Load(d, divisor + lane);
    return hn::IfThenElse(hn::Eq(by, hn::Zero(d)), hn::Zero(d), canonical<T>(hn::Div(x, by)));
  }
};

struct Visibility {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    const Tag<T> d;
    return hn::IfThenElse(hn::Eq(x, masked_value<T>()), hn::Zero(d), hn::Set(d, T(1)));
  }
};

struct Exp2 {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    return exp2_nonpositive<T>(x);
  }
};

struct Tanh {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    return tanh_any<T>(x);
  }
};

/// out = F::of(in) for each element; in and out may be the same tile.
template <class F, class T>
HWY_INLINE void map_tile(const T* in, size_t count, size_t lanes, const T* divisor, T* out) {
  const Tag<T> d;
  for (size_t j = 0; j < count; ++j)
    for (size_t i = 0; i < lanes; i += kWidth<T>)
      hn::Store(F::template of<T>(hn::Load(d, in + j * kLanes + i), i, divisor), d, out + j * kLanes + i);
}

template <class T>
void sigmoid(T* tile, size_t count, size_t lanes) {
  map_tile<Logistic, T>(tile, count, lanes, nullptr, tile);
}

template <class T>
void zero_masked(T* tile, size_t count, size_t lanes) {
  map_tile<ZeroMasked, T>(tile, count, lanes, nullptr, tile);
}

template <class T>
void visibility(const T* tile, size_t count, size_t lanes, T* visible) {
  map_tile<Visibility, T>(tile, count, lanes, nullptr, visible);
}

template <class T>
void finish_tile(T* tile, size_t count, size_t lanes, const T* divisor) {
  if (divisor == nullptr) return map_tile<Canonical, T>(tile, count, lanes, nullptr, tile);
  map_tile<Divide, T>(tile, count, lanes, divisor, tile);
}

template <class T>
void exp2_rows(T* values, size_t rows) {
  map_tile<Exp2, T>(values, rows, kLanes, nullptr, values);
}

template <class T>
void tanh_rows(T* values, size_t rows) {
  map_tile<Tanh, T>(values, rows, kLanes, nullptr, values);
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
