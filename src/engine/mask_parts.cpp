// Mask, bias and segment arrays made ready for the walk.
#include "engine/mask_parts.hpp"

#include "io/input.hpp"

#include <array>
#include <cmath>

#include <fmt/format.h>

namespace attn::engine {

namespace {

bool fits(const Shape& shape, const std::array<std::size_t, 4>& full) {
  if (shape.size() > 4) return false;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const std::size_t axis = 4 - shape.size() + k;
    const bool short_keys = axis == 3 && shape[k] <= full[3];
    if (shape[k] != full[axis] && shape[k] != 1 && !short_keys) return false;
  }
  return true;
}

/// Integers of a file that may have been read as floating point (a CSV column).
std::vector<std::int64_t> integers(const NamedArray& input) {
  std::vector<std::int64_t> ids(input.array.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const double value = input.array.at_flat(i);
    if (!(value == std::trunc(value)) || std::abs(value) > 0x1p53)
      throw Error(Status::data, fmt::format("{}: entry {} is {} (expected an integer id)", input.name, i, value));
    ids[i] = static_cast<std::int64_t>(value);
  }
  return ids;
}

/// Checks [length] or [batch, length] (a column or a row will do for one batch entry) and returns the stride between batch
/// entries.
std::size_t id_stride(const NamedArray& input, std::size_t batch, std::size_t length, const char* what) {
  const Shape& shape = input.array.shape();
  if (shape.size() == 2 && shape[0] == batch && shape[1] == length) return length;
  if (input.array.size() == length && (shape.size() == 1 || (shape.size() == 2 && (shape[0] == 1 || shape[1] == 1)))) return 0;
  throw Error(Status::data, fmt::format("{} {} does not name the segment of every {} (expected [{}] or [{}, {}])", input.name,
                                        to_string(shape), what, length, batch, length));
}

}  // namespace

void MaskPart::let_go(std::size_t batch, std::size_t head, std::size_t first, std::size_t count) const {
  // A row that all queries share is held.
  if (passing == nullptr || stride[2] == 0 || count == 0) return;
  const std::size_t item = item_size(array.dtype());
  const std::size_t keys = stride[3] == 0 ? 1 : key_count;
  passing->let_go({array.data() + offset(batch, head, first) * item, ((count - 1) * stride[2] + keys) * item});
}

MaskPart make_mask_part(const NamedMask& mask, const Dims& dims, DType compute) {
  const Array& given = mask.input.array;
  const std::array<std::size_t, 4> full{dims.batch, dims.heads, dims.q_len, dims.kv_len};
  const Shape& shape = given.shape();
  if (!fits(shape, full)) {
    std::string hint;
    if (shape.size() >= 2 && shape[shape.size() - 1] == dims.q_len && shape[shape.size() - 2] == dims.kv_len)
      hint = "its transpose fits: attn convert MASK MASK_T.npy --transpose";
    throw Error(Status::data,
                fmt::format("{} {} does not broadcast to [batch {}, heads {}, queries {}, keys {}]", mask.input.name,
                            to_string(shape), full[0], full[1], full[2], full[3]),
                hint);
  }
  MaskPart part;
  part.kind = mask.kind;
  part.array = given.converted(mask.kind == MaskKind::add ? compute : DType::boolean);
  part.key_count = dims.kv_len;
  std::size_t step = 1;
  for (std::size_t k = shape.size(); k-- > 0;) {
    const std::size_t axis = 4 - shape.size() + k;
    // One entry repeats; for the keys only where it does not mean "a mask of one key".
    part.stride[axis] = shape[k] == 1 ? 0 : step;
    if (axis == 3 && shape[k] != 1) part.key_count = shape[k];
    step *= shape[k];
  }
  return part;
}

Segments make_segments(const Inputs& inputs, const Dims& dims) {
  const NamedArray& keys = inputs.key_segments.given() ? inputs.key_segments : inputs.segments;
  if (!inputs.key_segments.given() && dims.q_len != dims.kv_len)
    throw Error(Status::usage, fmt::format("--segments names {} queries; the {} keys need --key-segments of their own",
                                           dims.q_len, dims.kv_len));
  Segments segments;
  segments.query_stride = id_stride(inputs.segments, dims.batch, dims.q_len, "query");
  segments.key_stride = id_stride(keys, dims.batch, dims.kv_len, "key");
  segments.query = integers(inputs.segments);
  segments.key = integers(keys);
  return segments;
}

}  // namespace attn::engine
