// The vector code of the tiled engine behind tables of function pointers: one table for each vector target and element type.
//
// A tile is [keys][kLanes]: row j holds what key j is to each of kLanes queries, so a vector lane always belongs to one query.
// Every number of a tile is one sequential chain of operations that all targets round alike, so all tables give the same bits.
// `lanes` says how many queries there are (1 to kLanes); what lies beyond them in a row may be written with anything.
// Tiles, row arrays and transposed queries are aligned to 64 bytes. Nothing here allocates, throws, or keeps a pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace attn::kernels {

inline constexpr std::size_t kLanes = 64;    ///< queries of a tile, and the distance of its rows in elements
inline constexpr std::size_t kKeys = 96;     ///< the most keys of a tile; fixed, since sums are joined tile by tile
inline constexpr std::size_t kFewLanes = 8;  ///< queries that the few_ kernels take: those of a step of decoding that share keys

/// What turns raw scores into logits, in this order. Masked means -inf.
template <class T>
struct LogitStage {
  bool clamp = false;        ///< into [-1, 1]
  bool root = false;         ///< square root (squared distances to distances)
  T factor = 1;              ///< multiplied with
  T cap = 0;                 ///< cap * tanh(x / cap); 0 is off
  const T* bias = nullptr;   ///< a tile that is added, -inf where it masks
  const T* begin = nullptr;  ///< [kLanes], with `end`: lane i sees the rows begin[i] <= j < end[i]
  const T* end = nullptr;
  const std::uint64_t* keep = nullptr;  ///< [keys]: lane i sees row j where bit i of keep[j] is set
  bool negate = false;                  ///< of what is not masked
};

/// Rows that a product fetches into the cache while it computes, for the product after it. None: rows is null.
template <class T>
struct Ahead {
  const T* rows = nullptr;
  std::size_t stride = 0;
  std::size_t count = 0;
  std::size_t dim = 0;
};

/// The running softmax of kLanes queries (Milakov and Gimelshein 2018).
template <class T>
struct alignas(64) SoftmaxRows {
  T maximum[kLanes];  ///< of the logits that `sum` covers
  T next[kLanes];     ///< `maximum` or a larger logit of the tile at hand
  T sum[kLanes];      ///< of exp(logit - maximum)
  T rescale[kLanes];  ///< exp(old maximum - new maximum) of the last step
};

/// Where row_sums writes: kLanes numbers each, aligned.
template <class T>
struct TileSums {
  T* mass;         ///< of the weights
  T* information;  ///< of weight * ln(weight); NaN where a weight is negative
  T* distance;     ///< of weight * |position - row|
};

template <class T>
struct KernelTable {
  std::string_view isa;

  /// out[d * kLanes + i] = rows[i * stride + d] * factor; zero for i >= queries. For queries, and for biases with keys as d.
  void (*load_queries)(const T* rows, std::size_t stride, std::size_t queries, std::size_t dim, T factor, T* out);

  /// tile[j][i] = sum_d keys[j * stride + d] * query[d][i]. `maximum`, when given, becomes max(maximum, tile) of each lane.
  void (*score_product)(const T* keys, std::size_t stride, std::size_t count, std::size_t dim, const T* query, std::size_t lanes,
                        T* tile, T* maximum, const Ahead<T>& ahead);
  /// tile[j][i] = sum_d (query[d][i] - keys[j * stride + d])^2.
  void (*score_distance)(const T* keys, std::size_t stride, std::size_t count, std::size_t dim, const T* query, std::size_t lanes,
                         T* tile);

  /// Raw scores to logits in place. maximum (when given) takes the largest logit of each lane, NaN left aside; seen (when given)
  /// becomes 1 where a lane has a logit other than -inf.
  void (*logits)(const LogitStage<T>& stage, std::size_t count, std::size_t lanes, T* tile, T* maximum, T* seen);
  /// True when rows[i * stride + d] is not -inf for some i < count and d < dim.
  bool (*any_visible)(const T* rows, std::size_t stride, std::size_t count, std::size_t dim);
  /// visible[j][i] = 1 where tile[j][i] is not -inf, else 0.
  void (*visibility)(const T* tile, std::size_t count, std::size_t lanes, T* visible);

  /// One step of the running softmax: logits to exp(logit - rows.next) in place, sum, maximum and rescale brought up to date.
  /// `natural` says that logits are natural; else they are multiples of ln 2, and exp stands for exp2.
  void (*softmax_step)(T* tile, std::size_t count, std::size_t lanes, bool natural, SoftmaxRows<T>& rows);
  /// The same for `rows` alone: the tile keeps its logits.
  void (*softmax_sums)(const T* tile, std::size_t count, std::size_t lanes, bool natural, SoftmaxRows<T>& rows);
  /// Logits to exp(logit - maximum).
  void (*exponentials)(T* tile, std::size_t count, std::size_t lanes, bool natural, const T* maximum);
  /// Logits to exp(softmax(logit) - largest softmax), 0 where masked, and their running sum.
  void (*double_step)(T* tile, std::size_t count, std::size_t lanes, bool natural, const SoftmaxRows<T>& rows, T* sum);
  /// Natural logits to 1 / (1 + exp(-logit)).
  void (*sigmoid)(T* tile, std::size_t count, std::size_t lanes);
  /// -inf becomes 0.
  void (*zero_masked)(T* tile, std::size_t count, std::size_t lanes);
  /// Divides each lane by its divisor (none: by 1), 0 where that is 0, and gives every NaN the same bits.
  void (*finish_tile)(T* tile, std::size_t count, std::size_t lanes, const T* divisor);

  /// output[f][i] = output[f][i] * rescale[i] + sum_j values[j * stride + f] * weights[j][i], for f < dim.
  void (*value_product)(const T* weights, const T* values, std::size_t stride, std::size_t count, std::size_t dim,
                        std::size_t lanes, const T* rescale, T* output, const Ahead<T>& ahead);
  /// The same over the keys with visible[j][i] != 0 only: what the others hold is not read into the sum.
  void (*value_product_select)(const T* weights, const T* visible, const T* values, std::size_t stride, std::size_t count,
                               std::size_t dim, std::size_t lanes, const T* rescale, T* output);
  /// True when rows[j * stride + d] is finite for all j < count and d < dim.
  bool (*all_finite)(const T* rows, std::size_t stride, std::size_t count, std::size_t dim);

  /// rows[i * stride + f] = output[f][i] / divisor[i], f < dim; 0 where the divisor is 0; every NaN gets the same bits.
  void (*store_rows)(const T* output, const T* divisor, std::size_t queries, std::size_t dim, T* rows, std::size_t stride);

  // For up to kFewLanes queries, bound by the memory that keys and values come from. Every number is the same chain, so these
  // kernels and those above give the same bits (NaN: some NaN); it is for the caller's speed alone which of them it calls.

  /// out[i * dim + d] = rows[i * stride + d] * factor.
  void (*scale_rows)(const T* rows, std::size_t stride, std::size_t queries, std::size_t dim, T factor, T* out);
  /// What score_product gives, for queries as scale_rows makes them, [lanes][dim].
  void (*few_score_product)(const T* keys, std::size_t stride, std::size_t count, std::size_t dim, const T* query_rows,
                            std::size_t lanes, T* tile, T* maximum, const Ahead<T>& ahead);
  /// What softmax_step gives.
  void (*few_softmax_step)(T* tile, std::size_t count, std::size_t lanes, bool natural, SoftmaxRows<T>& rows);
  /// What value_product gives, for an output of [lanes][dim]. load_queries(rows, dim, lanes, dim, 1, ..) makes [dim][kLanes] of
  /// it.
  void (*few_value_product)(const T* weights, const T* values, std::size_t stride, std::size_t count, std::size_t dim,
                            std::size_t lanes, const T* rescale, T* output_rows, const Ahead<T>& ahead);

  // For keys of one query that were picked from all and lie anywhere.

  /// scores[n] = sum_d keys[n][d] * query[d], in 16 chains (of the features d, d + 16, ..), joined by halves.
  void (*scattered_score_product)(const T* const* keys, std::size_t count, std::size_t dim, const T* query, T* scores);
  /// output[f] += sum_n weights[n] * values[n][f], one chain over n.
  void (*scattered_value_product)(const T* weights, const T* const* values, std::size_t count, std::size_t dim, T* output);

  // For keys that several threads share out: what two spans of keys gave becomes what both give. A span in which a lane sees no
  // key leaves the other's bits as they are.

  /// total and output[f][i] of two running softmaxes. A lane of one that has seen no key has sum 0.
  void (*join_spans)(SoftmaxRows<T>& total, T* output, const SoftmaxRows<T>& part, const T* output_part, std::size_t dim,
                     std::size_t lanes, bool natural);
  /// output[f][i] += output_part[f][i] where a lane has seen a key (seen[i] not 0) in both; `seen` joins, too.
  void (*add_spans)(T* seen, T* output, const T* seen_part, const T* output_part, std::size_t dim, std::size_t lanes);

  // What is learned of rows beside the output. These leave the tile as it is.

  /// Sums over the rows of a tile of weights (up to their divisor). `position` [kLanes] counts from the tile's first row.
  void (*row_sums)(const T* tile, std::size_t count, std::size_t lanes, const T* position, const TileSums<T>& sums);
  /// best[i] becomes max(best, tile) of each lane, NaN left aside. Where that is more than it was, row[i] is the first row that
  /// holds it, and bit i of the result is set.
  std::uint64_t (*largest)(const T* tile, std::size_t count, std::size_t lanes, T* best, T* row);
  /// Bit i of bits[j] is set where tile[j][i] > threshold[i]. True when any is.
  bool (*above)(const T* tile, std::size_t count, std::size_t lanes, const T* threshold, std::uint64_t* bits);
  /// The same with a threshold for each row of the tile: tile[j][i] > threshold[j].
  bool (*rows_above)(const T* tile, std::size_t count, std::size_t lanes, const T* threshold, std::uint64_t* bits);

  // What a picture takes of neighbouring keys, `count` of them and at least one.

  /// out[i] = tile[0][i] + tile[1][i] + ...
  void (*key_sums)(const T* tile, std::size_t count, std::size_t lanes, T* out);
  /// out[i] = the largest tile[j][i], NaN where one of them is.
  void (*key_maxima)(const T* tile, std::size_t count, std::size_t lanes, T* out);

  /// In place: exp2 of numbers <= 0; for tests: tanh, ln of numbers > 0.
  void (*exp2)(T* values, std::size_t rows);
  void (*tanh)(T* values, std::size_t rows);
  void (*log)(T* values, std::size_t rows);
};

/// The tables this processor can run, best first; "portable" is always the last one.
template <class T>
[[nodiscard]] std::span<const KernelTable<T>* const> available() noexcept;
template <>
std::span<const KernelTable<float>* const> available<float>() noexcept;
template <>
std::span<const KernelTable<double>* const> available<double>() noexcept;

}  // namespace attn::kernels
