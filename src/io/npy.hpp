// The NPY format, versions 1 to 3, after numpy.lib.format.
#pragma once

#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace attn {

/// What the header of an NPY file says.
struct NpyHeader {
  std::string descr;          ///< the element type in the file's own words, "<f4"
  std::optional<DType> type;  ///< nullopt when attn does not read it
  std::string refusal;        ///< then, or when there are too many dimensions: why not
  Shape shape;
  bool big_endian = false;
  bool column_major = false;
  std::size_t data_offset = 0;  ///< bytes before the first element
};

/// Whether `bytes` begin with NPY's magic.
[[nodiscard]] bool is_npy(std::span<const std::byte> bytes) noexcept;

/// How many bytes of an NPY file are needed before this can be said: magic, version and the length of the header.
inline constexpr std::size_t npy_preamble = 12;
/// The bytes before the first element, told by the first `npy_preamble` bytes of the file (fewer if it has no more). Throws
/// Error(data) when they are not the beginning of an NPY file of a known version, or announce a header of more than 64 KiB.
[[nodiscard]] std::size_t npy_data_offset(std::span<const std::byte> bytes, const std::string& label);
/// Reads the header; `bytes` hold it whole (and may go on). Throws Error(data) when it is damaged; a type that attn does not read
/// is no error here.
[[nodiscard]] NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& label);
/// The bytes of the elements. Throws Error(data) with the header's refusal, or when there are more than memory can address.
[[nodiscard]] std::size_t npy_data_bytes(const NpyHeader& header, const std::string& label);

/// What may follow the last element.
enum class Trailing { refused, ignored };

/// The array of a whole NPY file in memory; it may be a view of `bytes`, which `owner` keeps alive. Throws Error(data) for
/// everything that is no NPY array of at most 4 dimensions and a type of DType. Safe on any bytes.
[[nodiscard]] Array parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& label,
                              Trailing trailing);

/// What `attn info` shows of the header.
[[nodiscard]] ArrayEntry describe_npy(const NpyHeader& header);
/// The same for a whole file. Throws Error(data) like parse_npy() when header or size are wrong; a type that attn does not read
/// is no error.
[[nodiscard]] ArrayEntry list_npy(std::span<const std::byte> bytes, const std::string& label, Trailing trailing);

/// The header of a row-major array in native byte order: version 1.0 (2.0 when it is too long for that), padded so that the
/// elements begin at a multiple of 64 bytes.
[[nodiscard]] std::string npy_header(DType type, const Shape& shape);

}  // namespace attn
