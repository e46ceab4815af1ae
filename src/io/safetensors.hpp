// The safetensors format: a JSON header with the place of every tensor, and their elements, little-endian and row-major.
#pragma once

#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// What stands before the header: its length, little-endian.
inline constexpr std::size_t safetensors_length_bytes = 8;

/// One tensor as the header describes it.
struct SafetensorsEntry {
  std::string name;
  std::string type;  ///< in the file's words, "BF16"
  Shape shape;
  std::uint64_t begin = 0;  ///< counted from the first byte behind the header
  std::uint64_t end = 0;
};

/// The header, checked: every tensor has the bytes that its shape needs, and together they cover the file's data without overlap
/// or gap. In the order of the data.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::size_t data_offset = 0;
};

/// Reads and checks the header. Throws Error(data) for anything else than a complete safetensors file. Safe on any bytes.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, const std::string& label);

/// The tensor `name` (empty takes the only one), a view of `bytes`, which `owner` keeps alive, where alignment allows. Throws
/// Error(data) when there is no such tensor, several without a name, or one of a type or rank that attn does not read. Safe on
/// any bytes.
[[nodiscard]] Array parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                      const std::string& label, std::string_view name);

/// The tensors of the file.
[[nodiscard]] std::vector<ArrayEntry> list_safetensors(std::span<const std::byte> bytes, const std::string& label);

/// "F32", "BOOL", ...
[[nodiscard]] std::string_view safetensors_type_name(DType type) noexcept;
[[nodiscard]] std::optional<DType> safetensors_type(std::string_view name) noexcept;

}  // namespace attn
