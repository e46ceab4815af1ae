// The arrays of one attention as they were read, before any of them is understood.
#pragma once

#include "engine/plan.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace attn::engine {

/// An array and what to call it in messages ("key k.npy").
struct NamedArray {
  Array array;
  std::string name;
  [[nodiscard]] bool given() const noexcept { return !array.shape().empty(); }
};

struct NamedMask {
  NamedArray input;
  MaskKind kind = MaskKind::keep;
};

/// Mapped files of which rows are copied when they are needed, so that no pages stay.
using PassingFiles = std::vector<std::shared_ptr<const MappedFile>>;

/// Query, key and value are [length, dim], [batch, length, dim] or [batch, heads, length, dim]; with `heads` the first two carry
/// their heads side by side in the last dimension ([length, heads * dim]). A past is always [batch, kv_heads, length, dim].
struct Inputs {
  NamedArray query;
  NamedArray key;
  NamedArray value;
  std::size_t heads = 0;     ///< packed query heads; 0: not packed
  std::size_t kv_heads = 0;  ///< packed key and value heads; 0: as many as query heads
  NamedArray past_key;
  NamedArray past_value;
  std::vector<NamedMask> masks;
  std::vector<std::int64_t> key_lengths;  ///< none, one for all batch entries, or one for each
  NamedArray segments;                    ///< integer ids, [q_len] or [batch, q_len]
  NamedArray key_segments;                ///< [kv_len] or [batch, kv_len]; default: the query's
  PassingFiles passing;                   ///< rows of other files are read where they are

  /// Heads packed in key and value: kv_heads, or as many as the queries have; 0: not packed.
  [[nodiscard]] std::size_t packed_kv_heads() const noexcept { return kv_heads != 0 ? kv_heads : heads; }
};

/// How an array lies in memory when seen as [batch, heads, length, dim]. Strides count elements.
struct HeadLayout {
  std::size_t batch = 0;
  std::size_t heads = 0;
  std::size_t length = 0;
  std::size_t dim = 0;
  std::size_t batch_stride = 0;
  std::size_t head_stride = 0;
  std::size_t row_stride = 0;
};

/// Throws Error(data) for other ranks than 1 to 4 (1 is one row) and for widths that `packed_heads` does not divide, and
/// Error(usage) when `packed_heads` contradicts a 4-D shape.
[[nodiscard]] HeadLayout head_layout(const NamedArray& input, std::size_t packed_heads);

/// Checks all shapes against each other and resolves positions, lengths, masks and segments. `compute` is f32 or f64, the type
/// additive masks are converted to. Throws Error(usage) for options that contradict each other or leave a question open,
/// Error(data) for arrays that do not fit; messages name every shape.
[[nodiscard]] Plan make_plan(const Inputs& inputs, const AttentionOptions& options, DType compute);

}  // namespace attn::engine
