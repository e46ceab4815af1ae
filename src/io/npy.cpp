// Reading NPY data and writing NPY headers.
#include "io/npy.hpp"

#include "base/groups.hpp"
#include "io/elements.hpp"

#include <bit>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

std::string descr_of(DType type) {
  const char order = item_size(type) == 1 ? '|' : std::endian::native == std::endian::big ? '>' : '<';
  const char kind = [type] {
    switch (type) {
      case DType::f16:
      case DType::f32:
      case DType::f64:
        return 'f';
      case DType::bf16:
        return 'V';  // what NumPy writes for the bfloat16 of ml_dtypes
      case DType::u8:
      case DType::u16:
      case DType::u32:
      case DType::u64:
        return 'u';
      case DType::boolean:
        return 'b';
      default:
        return 'i';
    }
  }();
  return fmt::format("{}{}{}", order, kind, item_size(type));
}

std::string tuple_of(const Shape& shape) {
  return shape.size() == 1 ? fmt::format("({},)", shape.front()) : fmt::format("({})", fmt::join(shape, ", "));
}

void append_little_endian(std::string& text, std::size_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(static_cast<unsigned char>(value >> (8 * i) & 0xFFU));
}

/// The bytes of the elements, when `found` bytes behind the header are as many.
std::size_t checked_data_bytes(const NpyHeader& header, std::size_t found, const std::string& label, Trailing trailing) {
  const std::size_t expected = npy_data_bytes(header, label);
  if (found == expected || (found > expected && trailing == Trailing::ignored)) return expected;
  throw Error(
      Status::data, {label},
      fmt::format("the file is {}: {} elements of {} take {} bytes, found {}", found < expected ? "cut short" : "too long",
                  to_string(header.shape), dtype_name(*header.type), expected, found));
}

}  // namespace

std::size_t npy_data_bytes(const NpyHeader& header, const std::string& label) {
  if (!header.refusal.empty()) throw Error(Status::data, {label}, header.refusal);
  const std::size_t item = item_size(*header.type);
  try {
    return element_count(header.shape, item) * item;
  } catch (const Error& error) {
    throw Error(error.status(), {label}, error.what());
  }
}

Array parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& label,
                Trailing trailing) {
  const NpyHeader header = parse_npy_header(bytes, label);
  const std::size_t size = checked_data_bytes(header, bytes.size() - header.data_offset, label, trailing);
  return arrange_elements({*header.type, header.shape, header.big_endian, header.column_major}, std::move(owner),
                          bytes.subspan(header.data_offset, size));
}

ArrayEntry list_npy(std::span<const std::byte> bytes, const std::string& label, Trailing trailing) {
  const NpyHeader header = parse_npy_header(bytes, label);
  if (header.refusal.empty()) (void)checked_data_bytes(header, bytes.size() - header.data_offset, label, trailing);
  ArrayEntry entry = describe_npy(header);
  entry.storage = "mapped";
  return entry;
}

ArrayEntry describe_npy(const NpyHeader& header) {
  ArrayEntry entry;
  entry.dtype = header.type;
  entry.type_name = header.type ? std::string(dtype_name(*header.type)) : header.descr;
  entry.refusal = header.refusal;
  entry.shape = header.shape;
  entry.column_major = header.column_major;
  entry.big_endian = header.big_endian;
  return entry;
}

std::string npy_header(DType type, const Shape& shape) {
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", descr_of(type), tuple_of(shape));
  constexpr std::size_t alignment = 64;
  std::size_t preamble = 10;
  const auto padded = [&] { return whole_groups(preamble + dictionary.size() + 1, alignment); };
  if (padded() - preamble > 0xFFFF) preamble = 12;
  const std::size_t total = padded();
  std::string header = "\x93NUMPY";
  header += preamble == 10 ? '\1' : '\2';
  header += '\0';
  append_little_endian(header, total - preamble, preamble - 8);
  header += dictionary;
  header.resize(total - 1, ' ');
  header += '\n';
  return header;
}

}  // namespace attn
