// Byte order, memory order, alignment and bools of binary files.
#include "io/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

namespace attn {

namespace {

template <class Word>
Word load(const std::byte* from, bool swap) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  if (!swap) return word;
  if constexpr (sizeof(Word) == 2) word = __builtin_bswap16(word);
  if constexpr (sizeof(Word) == 4) word = __builtin_bswap32(word);
  if constexpr (sizeof(Word) == 8) word = __builtin_bswap64(word);
  return word;
}

/// The dimensions that order matters for, padded to [first, middle 1, middle 2, last] with ones in the middle.
struct Dimensions {
  std::array<std::size_t, 4> size{1, 1, 1, 1};
  bool order_matters = false;
};

Dimensions dimensions_of(const Shape& shape) {
  Shape kept;
  std::ranges::copy_if(shape, std::back_inserter(kept), [](std::size_t size) { return size != 1; });
  Dimensions result;
  if (kept.size() < 2) return result;
  if (kept.size() > 4) throw Error(Status::defect, "more than 4 dimensions reached the reordering of elements");
  result.order_matters = true;
  result.size[0] = kept.front();
  result.size[3] = kept.back();
  for (std::size_t i = 1; i + 1 < kept.size(); ++i) result.size[i] = kept[i];
  return result;
}

/// One square tile of the first and the last index; `from` and `to` stand at its corner.
template <class Word>
void copy_tile(const std::byte* from, std::size_t from_last_stride, std::size_t rows, std::size_t columns, Word* to,
               std::size_t to_first_stride, bool swap) {
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      to[i * to_first_stride + j] = load<Word>(from + (i + j * from_last_stride) * sizeof(Word), swap);
}

/// Column-major to row-major: reverses the order of all indices. In the source the first index is contiguous, in the result the
/// last, so tiles of both keep the cache lines of either side in use.
template <class Word>
void reverse_order(const std::byte* from, const Dimensions& dimensions, Word* to, bool swap) {
  constexpr std::size_t tile = 32;
  const auto [first, middle1, middle2, last] = dimensions.size;
  const std::size_t middle = middle1 * middle2;
  for (std::size_t m2 = 0; m2 < middle2; ++m2)
    for (std::size_t m1 = 0; m1 < middle1; ++m1)
      for (std::size_t i = 0; i < first; i += tile)
        for (std::size_t j = 0; j < last; j += tile)
          copy_tile(from + (i + first * (m1 + middle1 * (m2 + middle2 * j))) * sizeof(Word), first * middle,
                    std::min(tile, first - i), std::min(tile, last - j), to + ((i * middle1 + m1) * middle2 + m2) * last + j,
                    middle * last, swap);
}

template <class Word>
void put_in_order(const ElementLayout& layout, const std::byte* from, std::size_t count, std::byte* memory, bool swap) {
  auto* to = reinterpret_cast<Word*>(memory);
  const Dimensions dimensions = dimensions_of(layout.shape);
  if (layout.column_major && dimensions.order_matters) {
    reverse_order(from, dimensions, to, swap);
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = load<Word>(from + i * sizeof(Word), swap);
  }
}

/// Bytes other than 0 and 1 mean true in files, but have no meaning in a C++ bool.
bool all_zero_or_one(std::span<const std::byte> bytes) {
  unsigned seen = 0;
  for (const std::byte byte : bytes) seen |= std::to_integer<unsigned>(byte);
  return seen <= 1;
}

}  // namespace

Array arrange_elements(const ElementLayout& layout, std::shared_ptr<const void> owner, std::span<const std::byte> bytes) {
  const std::size_t item = item_size(layout.type);
  const std::size_t count = element_count(layout.shape, item);
  if (bytes.size() != count * item) throw Error(Status::defect, "the bytes of an array do not fit its shape");
  if (count == 0) return {layout.type, layout.shape};

  const bool swap = item > 1 && layout.big_endian != (std::endian::native == std::endian::big);
  const bool reorder = layout.column_major && dimensions_of(layout.shape).order_matters;
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % item == 0;
  const bool clean = layout.type != DType::boolean || all_zero_or_one(bytes);
  if (!swap && !reorder && aligned && clean) return {layout.type, layout.shape, std::move(owner), bytes.data()};

  Array result(layout.type, layout.shape);
  std::byte* memory = result.mutable_data();
  switch (item) {
    case 1:
      put_in_order<std::uint8_t>(layout, bytes.data(), count, memory, false);
      break;
    case 2:
      put_in_order<std::uint16_t>(layout, bytes.data(), count, memory, swap);
      break;
    case 4:
      put_in_order<std::uint32_t>(layout, bytes.data(), count, memory, swap);
      break;
    default:
      put_in_order<std::uint64_t>(layout, bytes.data(), count, memory, swap);
      break;
  }
  if (!clean)
    for (std::size_t i = 0; i < count; ++i) memory[i] = std::byte{memory[i] != std::byte{0}};
  return result;
}

}  // namespace attn
