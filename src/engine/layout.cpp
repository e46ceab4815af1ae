// Seeing 1-D to 4-D arrays as [batch, heads, length, dim].
#include "base/counted.hpp"
#include "engine/inputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::engine {

namespace {

std::string divisors(std::size_t width) {
  std::vector<std::size_t> found;
  for (std::size_t n = 1; n <= width && n <= 128; ++n) {
    if (width % n == 0) found.push_back(n);
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

}  // namespace

HeadLayout head_layout(const NamedArray& input, std::size_t packed_heads) {
  const Shape& shape = input.array.shape();
  HeadLayout layout;
  if (shape.size() == 4) {
    if (packed_heads != 0 && packed_heads != shape[1])
      throw Error(Status::usage, fmt::format("{} {} has {} in its second dimension, but {} were asked for", input.name,
                                             to_string(shape), counted(shape[1], "head", "heads"), packed_heads));
    return {.batch = shape[0],
            .heads = shape[1],
            .length = shape[2],
            .dim = shape[3],
            .batch_stride = shape[1] * shape[2] * shape[3],
            .head_stride = shape[2] * shape[3],
            .row_stride = shape[3]};
  }
  if (shape.empty() || shape.size() > 4)
    throw Error(Status::data,
                fmt::format("{} has {} dimensions (expected [length, dim], [batch, length, dim] or [batch, heads, length, dim])",
                            input.name, shape.size()));
  const std::size_t width = shape.back();
  layout.heads = packed_heads == 0 ? 1 : packed_heads;
  if (width % layout.heads != 0)
    throw Error(Status::data,
                fmt::format("{} {} cannot be split into {} heads: its last dimension {} is not a multiple of {}", input.name,
                            to_string(shape), layout.heads, width, layout.heads),
                fmt::format("numbers of heads that divide {}: {}", width, divisors(width)));
  layout.length = shape.size() == 1 ? 1 : shape[shape.size() - 2];
  layout.batch = shape.size() == 3 ? shape[0] : 1;
  layout.dim = width / layout.heads;
  layout.row_stride = width;
  layout.head_stride = layout.dim;
  layout.batch_stride = layout.length * width;
  return layout;
}

}  // namespace attn::engine
