// The table of one target. Included once for each target.
#if defined(ATTN_KERNELS_TABLE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_TABLE_INL_HPP
#undef ATTN_KERNELS_TABLE_INL_HPP
#else
#define ATTN_KERNELS_TABLE_INL_HPP
#endif

#include "kernels/few-inl.hpp"
#include "kernels/join-inl.hpp"
#include "kernels/notes-inl.hpp"
#include "kernels/product-inl.hpp"
#include "kernels/rows-inl.hpp"
#include "kernels/scattered-inl.hpp"
#include "kernels/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3
inline constexpr std::string_view kIsa = "avx512";
#elif HWY_TARGET == HWY_AVX2
inline constexpr std::string_view kIsa = "avx2";
#elif HWY_TARGET == HWY_NEON
inline constexpr std::string_view kIsa = "neon";
#elif HWY_TARGET == HWY_SCALAR
inline constexpr std::string_view kIsa = "portable";
#else
#error "this vector target has no name yet"
#endif

template <class T>
inline constexpr KernelTable<T> kTable = {
    .isa = kIsa,
    .load_queries = load_queries<T>,
    .score_product = score_product<T>,
    .score_distance = score_distance<T>,
    .logits = logits<T>,
    .any_visible = any_visible<T>,
    .visibility = visibility<T>,
    .softmax_step = softmax_step<T>,
    .softmax_sums = softmax_sums<T>,
    .exponentials = exponentials<T>,
    .double_step = double_step<T>,
    .sigmoid = sigmoid<T>,
    .zero_masked = zero_masked<T>,
    .finish_tile = finish_tile<T>,
    .value_product = value_product<T>,
    .value_product_select = value_product_select<T>,
    .all_finite = all_finite<T>,
    .store_rows = store_rows<T>,
    .scale_rows = scale_rows<T>,
    .few_score_product = few_score_product<T>,
    .few_softmax_step = few_softmax_step<T>,
    .few_value_product = few_value_product<T>,
    .scattered_score_product = scattered_score_product<T>,
    .scattered_value_product = scattered_value_product<T>,
    .join_spans = join_spans<T>,
    .add_spans = add_spans<T>,
    .row_sums = row_sums<T>,
    .largest = largest<T>,
    .above = above<T>,
    .rows_above = rows_above<T>,
    .key_sums = key_sums<T>,
    .key_maxima = key_maxima<T>,
    .exp2 = exp2_rows<T>,
    .tanh = tanh_rows<T>,
    .log = log_rows<T>,
};

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
