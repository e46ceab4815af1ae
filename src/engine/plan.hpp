// The plan of one attention: sizes, positions, and which keys each query may see, resolved from options and inputs before
// anything runs.
#pragma once

#include <attn/array.hpp>
#include <attn/options.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace attn {
class MappedFile;
}

namespace attn::engine {

struct Dims {
  std::size_t batch = 0;
  std::size_t heads = 0;     ///< query heads, a multiple of kv_heads
  std::size_t kv_heads = 0;  ///< query head h reads key and value head h / (heads / kv_heads)
  std::size_t q_len = 0;
  std::size_t kv_len = 0;  ///< past and new keys together
  std::size_t head_dim = 0;
  std::size_t value_dim = 0;

  [[nodiscard]] std::size_t kv_head(std::size_t head) const noexcept { return head / (heads / kv_heads); }
};

/// A half-open range of keys.
struct KeyRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  [[nodiscard]] bool empty() const noexcept { return begin >= end; }
};

enum class MaskKind {
  keep,   ///< non-zero stays
  block,  ///< non-zero is masked
  add,    ///< added to the logit; -inf masks
};

/// One mask or bias array, broadcast to [batch, heads, q_len, kv_len] by strides (0 repeats). Keys from key_count on are masked.
struct MaskPart {
  MaskKind kind = MaskKind::keep;
  Array array;  ///< boolean for keep and block, f32 or f64 (the type computed in) for add
  std::size_t stride[4] = {0, 0, 0, 0};
  std::size_t key_count = 0;
  std::shared_ptr<const MappedFile> passing = nullptr;  ///< the file that the array lies in, if its pages are not to be held

  /// Lets go of the rows of queries [first, first + count), if they are not to be held.
  void let_go(std::size_t batch, std::size_t head, std::size_t first, std::size_t count) const;
  [[nodiscard]] std::size_t offset(std::size_t batch, std::size_t head, std::size_t query) const noexcept {
    return batch * stride[0] + head * stride[1] + query * stride[2];
  }
};

/// Integer ids: a query sees only keys of its own segment. [batch or 1, length] each.
struct Segments {
  std::vector<std::int64_t> query;
  std::vector<std::int64_t> key;
  std::size_t query_stride = 0;  ///< between batch entries; 0 repeats
  std::size_t key_stride = 0;
  [[nodiscard]] bool empty() const noexcept { return query.empty() && key.empty(); }
};

struct Plan {
  Dims dims;
  AttentionOptions options;
  double factor = 1;                       ///< scale / temperature, what a score is multiplied with
  std::vector<std::int64_t> query_offset;  ///< [batch]
  /// Not empty: the queries are some of a longer plan's, and this is which they are there, ascending. Query i then stands where
  /// chosen[i] did.
  std::vector<std::size_t> chosen = {};
  std::vector<std::size_t> key_length;  ///< [batch], at most kv_len
  std::size_t global_keys = 0;          ///< keys below it are seen whatever the window says; causal and lengths still hold
  std::vector<MaskPart> masks;
  Segments segments;
  std::vector<double> slopes;  ///< [heads] with ALiBi, else empty

  /// The position of query i of batch entry b.
  [[nodiscard]] std::int64_t position(std::size_t b, std::size_t i) const noexcept {
    return query_offset[b] + static_cast<std::int64_t>(chosen.empty() ? i : chosen[i]);
  }
  /// The keys that causal, window and key lengths leave to query i: one interval. With global keys it begins with them, and what
  /// lies between them and the window is hidden as a mask hides it.
  [[nodiscard]] KeyRange range(std::size_t b, std::size_t i) const noexcept;
  /// The smallest interval that holds range(b, i) for all queries i in [first, first + count).
  [[nodiscard]] KeyRange range(std::size_t b, std::size_t first, std::size_t count) const noexcept;
  /// True when anything besides range() hides keys or adds to logits: masks, biases, segments, ALiBi.
  [[nodiscard]] bool has_bias() const noexcept { return may_hide() || !slopes.empty(); }
  /// True when a mask or a segment may hide a key inside its range(); ALiBi alone never does.
  [[nodiscard]] bool may_hide() const noexcept { return !masks.empty() || !segments.empty() || has_gap(); }
  /// There are keys between the global ones and the window.
  [[nodiscard]] bool has_gap() const noexcept { return global_keys > 0 && options.window.left.has_value(); }
  /// Those of query i that are inside range().
  [[nodiscard]] KeyRange gap(std::size_t b, std::size_t i) const noexcept;

  /// True when query i of head h may see key j: range, masks and segments together.
  [[nodiscard]] bool visible(std::size_t b, std::size_t h, std::size_t i, std::size_t j) const;
  /// What is added to the logit of a visible pair: ALiBi and additive masks, in double.
  [[nodiscard]] double bias(std::size_t b, std::size_t h, std::size_t i, std::size_t j) const;

  /// The same two for the fast engine: rows[(i - query) * stride + (j - key)] is the bias of the pair, -inf where a
  /// mask or a segment hides it. Range is not applied. T is the type computed in, which additive masks have been converted to.
  template <class T>
  void fill_bias(std::size_t b, std::size_t h, std::size_t query, std::size_t queries, std::size_t key, std::size_t keys, T* rows,
                 std::size_t stride) const;

  /// Visible (query, key) pairs over all batches and heads when counted exactly is cheap (no masks or segments), else the pairs
  /// that range() leaves: what the work is proportional to.
  [[nodiscard]] double visible_pairs() const;
};

/// ALiBi's slopes for n heads (Press et al. 2022): 2^(-8(i+1)/n) for a power of two, else those of the power of two below and
/// every other one of the power above.
[[nodiscard]] std::vector<double> alibi_slopes(std::size_t heads);

}  // namespace attn::engine
