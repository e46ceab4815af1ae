// Which attention is computed: score, normalizer, positions and policies, and what each choice means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace attn {

/// s = score(q_i, k_j), before scale and temperature.
enum class Score {
  dot,          ///< q . k
  scaled,       ///< q . k, whose scale defaults to 1/sqrt(head_dim) (Vaswani et al. 2017, eq. 1)
  cosine,       ///< q . k / (|q| |k|), clamped to [-1, 1]; a zero vector follows the zero-vector policy
  euclidean,    ///< -|q - k|
  sqeuclidean,  ///< -|q - k|^2
};

/// How the logits x of the keys that a query may see become its weights. A query without any such key has all-zero weights.
enum class Normalizer {
  softmax,         ///< exp(x) / sum exp(x)
  softmin,         ///< softmax(-x)
  double_softmax,  ///< softmax(softmax(x)), both over the visible keys only
  softmax1,        ///< exp(x) / (1 + sum exp(x)): as if one more key had logit 0 and value 0
  sigmoid,         ///< 1 / (1 + exp(-x))
  none,            ///< x
};

enum class Combine {
  sum,   ///< y_i = sum_j w_ij v_j
  rows,  ///< the weighted inputs w_ij v_j themselves: [batch, heads, q_len, kv_len, value_dim]
};

/// What a special case becomes: a query without a visible key, the cosine of a zero vector.
enum class Policy { zero, nan, error };

/// Which scores are written: those after scale and temperature, after softcap, or after bias and masks (-inf where masked).
enum class ScoresStage { raw, capped, masked };

enum class RopePairing {
  none,
  half,         ///< features (i, i + dim/2)
  interleaved,  ///< features (2i, 2i + 1)
};

/// How rotary frequencies are changed for sequences longer than those a model was trained for.
struct RopeScaling {
  enum class Kind {
    none,
    linear,   ///< positions are divided by `factor` (Chen et al. 2023)
    ntk,      ///< the base is multiplied by factor^(d / (d - 2)), d features that rotate
    dynamic,  ///< the same with factor * kv_len / length - (factor - 1) for the factor, where kv_len is above `length`
    llama3,   ///< waves longer than length / low are divided by `factor`, those shorter than length / high stay, between: mixed
  };
  Kind kind = Kind::none;
  double factor = 1;
  double low = 1;
  double high = 4;
  double length = 0;  ///< positions that the model was trained for (dynamic, llama3)
};

/// Key j stays if p - left <= j <= p + right; an empty side is open.
struct Window {
  std::optional<std::int64_t> left;
  std::optional<std::int64_t> right;
  [[nodiscard]] bool open() const noexcept { return !left && !right; }
};

/// Query i stands at position p = i + offset; key j at j. p drives causal, window, ALiBi and RoPE alike.
struct QueryOffset {
  enum class Kind {
    automatic,  ///< the past's length if there is one, else 0 where that is unambiguous
    end,        ///< key length - q_len, per batch entry: the last query stands at the last key
    given,      ///< `values`: one number for all batch entries, or one for each
  };
  Kind kind = Kind::automatic;
  std::vector<std::int64_t> values;
};

/// Everything about the computation that is not an array. Order: RoPE, score, scale and temperature, softcap, bias, masks,
/// normalizer, combine, residual.
struct AttentionOptions {
  Score score = Score::scaled;
  std::optional<double> scale;  ///< default 1/sqrt(head_dim) for `scaled`, else 1
  double temperature = 1;       ///< scores are divided by it; not 0
  double softcap = 0;           ///< s -> softcap * tanh(s / softcap); 0 is off
  Normalizer normalize = Normalizer::softmax;
  Combine combine = Combine::sum;
  bool causal = false;  ///< key j stays if j <= p
  Window window;
  QueryOffset query_offset;
  bool alibi = false;  ///< adds -slope_h * |p - j| with the standard slopes (Press et al. 2022)
  RopePairing rope = RopePairing::none;
  double rope_base = 10000;
  RopeScaling rope_scaling = {};
  std::size_t rope_dim = 0;  ///< features that rotate, from the first; 0 is all of head_dim
  bool residual = false;     ///< adds the query to the output
  Policy empty_rows = Policy::zero;
  Policy zero_vectors = Policy::zero;
};

}  // namespace attn
