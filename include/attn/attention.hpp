// Attention from C++: xtensor arrays in, xtensor arrays out, the same engines and the same bits as the program.
#pragma once

#include <attn/error.hpp>
#include <attn/options.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <xtensor/xarray.hpp>
#include <xtensor/xtensor.hpp>

namespace attn {

enum class Engine {
  tiled,      ///< fast; computes in T
  reference,  ///< plain float64, whatever T is
};

/// What besides query, key and value goes in, and what besides the output is wanted.
template <class T>
struct AttentionExtras {
  /// Broadcast, right-aligned, to [batch, heads, q_len, kv_len]; true stays. A last dimension shorter than kv_len leaves the rest
  /// masked.
  std::optional<xt::xarray<bool>> keep;
  /// Added to the logits, broadcast in the same way; -inf masks.
  std::optional<xt::xarray<T>> bias;
  /// How many keys exist in each batch entry: empty (all of them), one number for all entries, or one for each.
  std::vector<std::int64_t> key_lengths;
  bool want_weights = false;
  bool want_log_sum_exp = false;
  Engine engine = Engine::tiled;
  std::size_t threads = 1;  ///< never changes a bit of the result
};

template <class T>
struct AttentionResult {
  xt::xtensor<T, 4> output;       ///< [batch, heads, q_len, value_dim]
  xt::xtensor<T, 4> weights;      ///< [batch, heads, q_len, kv_len], zero where masked; empty unless wanted
  xt::xtensor<T, 3> log_sum_exp;  ///< [batch, heads, q_len], natural logarithm; empty unless wanted
};

/// y_i = sum_j w_ij v_j with w = normalize(mask(bias + softcap(scale * score(q_i, k_j) / temperature))) (Vaswani et al. 2017, eq.
/// 1, and the variants of AttentionOptions).
///
/// query is [batch, heads, q_len, head_dim], key [batch, kv_heads, kv_len, head_dim] and value [batch, kv_heads, kv_len,
/// value_dim]; heads is a multiple of kv_heads and query head h reads key/value head h / (heads / kv_heads). T is float or
/// double.
///
/// Masked means absent: a masked key is not read into the result, so its NaN stays out. A query without a visible key gets zeros
/// (or what options.empty_rows says). Errors: Error(data) for shapes that do not fit, Error(usage) for options that contradict
/// each other. Combine::rows is not offered here. Error against float64 of the tiled engine on N(0,1) inputs: about 1e-7 of the
/// largest output in float.
template <class T>
[[nodiscard]] AttentionResult<T> attention(const xt::xtensor<T, 4>& query, const xt::xtensor<T, 4>& key,
                                           const xt::xtensor<T, 4>& value, const AttentionOptions& options = {},
                                           const AttentionExtras<T>& extras = {});

extern template AttentionResult<float> attention(const xt::xtensor<float, 4>&, const xt::xtensor<float, 4>&,
                                                 const xt::xtensor<float, 4>&, const AttentionOptions&,
                                                 const AttentionExtras<float>&);
extern template AttentionResult<double> attention(const xt::xtensor<double, 4>&, const xt::xtensor<double, 4>&,
                                                  const xt::xtensor<double, 4>&, const AttentionOptions&,
                                                  const AttentionExtras<double>&);

}  // namespace attn
