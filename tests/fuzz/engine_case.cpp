// Draws a small attention from bytes.
#include "fuzz/engine_case.hpp"

#include <array>
#include <limits>
#include <utility>
#include <vector>

namespace attn::fuzz {

namespace {

using engine::MaskKind;
using engine::NamedArray;

/// Lengths around the blocks of queries and keys and the width of vectors, and small ones.
constexpr std::array<std::size_t, 16> lengths{1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 47, 95, 97, 130, 0};
constexpr std::array<std::size_t, 8> widths{1, 2, 3, 4, 6, 8, 17, 40};

NamedArray numbers(Choices& choices, const Shape& shape, const char* name) {
  std::vector<float> values(element_count(shape));
  for (float& value : values) value = choices.value();
  return {Array::of<float>(shape, values), name};
}

/// The shape [batch, heads, q_len, kv_len] with some axes of size 1 or left out, and now and then fewer keys.
Shape mask_shape(Choices& choices, const Shape& full) {
  Shape shape = full;
  if (choices.one_in(4) && shape[3] > 1) shape[3] -= 1;
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (choices.one_in(2)) shape[axis] = 1;
  if (choices.one_in(4)) shape.erase(shape.begin());
  return shape;
}

engine::NamedMask draw_mask(Choices& choices, const Shape& full) {
  const Shape shape = mask_shape(choices, full);
  const std::size_t count = element_count(shape);
  const std::array<MaskKind, 3> kinds{MaskKind::keep, MaskKind::block, MaskKind::add};
  const MaskKind kind = kinds[choices.below(3)];
  const bool dense = choices.one_in(2);
  if (kind == MaskKind::add) {
    std::vector<float> values(count);
    for (float& value : values) {
      value = choices.value();
      if (dense ? value > 1.0F : value > -1.0F) value = -std::numeric_limits<float>::infinity();
    }
    return {{Array::of<float>(shape, values), "mask"}, kind};
  }
  Array array(DType::boolean, shape);
  for (bool& value : array.mutable_values<bool>()) value = (choices.value() > 1.0F) != dense;
  return {{array, "mask"}, kind};
}

NamedArray draw_segments(Choices& choices, std::size_t length, const char* name) {
  std::vector<std::int64_t> ids(length);
  std::int64_t id = 0;
  for (std::int64_t& place : ids) {
    if (choices.value() > 1.5F) ++id;
    place = id % 3;
  }
  return {Array::of<std::int64_t>({length}, ids), name};
}

void draw_positions(Choices& choices, AttentionOptions& options, std::size_t batch) {
  options.causal = choices.one_in(3);
  options.alibi = choices.one_in(4);
  if (choices.one_in(3)) {
    if (!choices.one_in(3)) options.window.left = static_cast<std::int64_t>(choices.below(40));
    if (!choices.one_in(3)) options.window.right = static_cast<std::int64_t>(choices.below(40));
  }
  const std::size_t kind = choices.below(3);
  if (kind == 1) options.query_offset.kind = QueryOffset::Kind::end;
  if (kind != 2) return;
  options.query_offset.kind = QueryOffset::Kind::given;
  for (std::size_t b = 0; b < batch; ++b)
    options.query_offset.values.push_back(static_cast<std::int64_t>(choices.below(200)) - 60);
}

AttentionOptions draw_options(Choices& choices, std::size_t batch) {
  AttentionOptions options;
  options.score = static_cast<Score>(choices.below(5));
  options.normalize = static_cast<Normalizer>(choices.below(6));
  const std::array<double, 6> scales{1.0, 0.5, 2.0, -1.0, 0.0, 0.125};
  if (choices.one_in(3)) options.scale = scales[choices.below(scales.size())];
  const std::array<double, 4> temperatures{1.0, 0.25, 3.0, 0.02};
  if (choices.one_in(3)) options.temperature = temperatures[choices.below(temperatures.size())];
  if (choices.one_in(4)) options.softcap = choices.one_in(2) ? 0.5 : 8.0;
  if (choices.one_in(3)) {
    options.rope = choices.one_in(2) ? RopePairing::half : RopePairing::interleaved;
    options.rope_dim = 2 * choices.below(4);
  }
  options.residual = choices.one_in(4);
  options.empty_rows = static_cast<Policy>(choices.below(2));
  options.zero_vectors = static_cast<Policy>(choices.below(2));
  draw_positions(choices, options, batch);
  return options;
}

}  // namespace

float Choices::value() {
  // splitmix64 (Steele, Lea, Flood 2014), stirred by one more byte of the input as long as there are some.
  state_ += 0x9E3779B97F4A7C15U + next();
  std::uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  z ^= z >> 31U;
  return static_cast<float>(static_cast<int>(z % 129) - 64) / 32.0F;
}

EngineCase draw_case(Choices& choices) {
  const std::size_t batch = 1 + choices.below(2);
  const std::size_t kv_heads = 1 + choices.below(2);
  const std::size_t heads = kv_heads * (1 + choices.below(3));
  const std::size_t q_len = lengths[choices.below(lengths.size())];
  const std::size_t new_keys = choices.one_in(3) ? q_len : lengths[choices.below(lengths.size())];
  const std::size_t past = choices.one_in(3) ? lengths[choices.below(lengths.size())] : 0;
  const std::size_t head_dim = widths[choices.below(widths.size())];
  const std::size_t value_dim = choices.one_in(2) ? head_dim : widths[choices.below(widths.size())];
  const std::size_t kv_len = past + new_keys;

  EngineCase result;
  result.options = draw_options(choices, batch);
  engine::Inputs& inputs = result.inputs;
  const bool packed = choices.one_in(3);
  if (packed) {
    inputs.heads = heads;
    inputs.kv_heads = kv_heads;
  }
  const auto shape = [&](std::size_t h, std::size_t length, std::size_t dim) {
    return packed ? Shape{batch, length, h * dim} : Shape{batch, h, length, dim};
  };
  if (choices.one_in(3)) inputs.key_lengths.assign(batch, static_cast<std::int64_t>(choices.below(kv_len + 1)));
  const std::size_t masks = choices.below(3);
  for (std::size_t i = 0; i < masks; ++i) inputs.masks.push_back(draw_mask(choices, {batch, heads, q_len, kv_len}));
  if (choices.one_in(4)) {
    inputs.segments = draw_segments(choices, q_len, "segments");
    if (q_len != kv_len || choices.one_in(2)) inputs.key_segments = draw_segments(choices, kv_len, "key segments");
  }
  inputs.query = numbers(choices, shape(heads, q_len, head_dim), "query");
  inputs.key = numbers(choices, shape(kv_heads, new_keys, head_dim), "key");
  inputs.value = numbers(choices, shape(kv_heads, new_keys, value_dim), "value");
  if (past > 0) {
    inputs.past_key = numbers(choices, {batch, kv_heads, past, head_dim}, "past key");
    inputs.past_value = numbers(choices, {batch, kv_heads, past, value_dim}, "past value");
  }
  return result;
}

}  // namespace attn::fuzz
