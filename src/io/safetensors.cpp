// Tensors of safetensors files as arrays.
#include "io/safetensors.hpp"

#include "io/array_names.hpp"
#include "io/elements.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::array<std::pair<DType, std::string_view>, 13> type_names{{{DType::f16, "F16"},
                                                                         {DType::bf16, "BF16"},
                                                                         {DType::f32, "F32"},
                                                                         {DType::f64, "F64"},
                                                                         {DType::i8, "I8"},
                                                                         {DType::i16, "I16"},
                                                                         {DType::i32, "I32"},
                                                                         {DType::i64, "I64"},
                                                                         {DType::u8, "U8"},
                                                                         {DType::u16, "U16"},
                                                                         {DType::u32, "U32"},
                                                                         {DType::u64, "U64"},
                                                                         {DType::boolean, "BOOL"}}};

std::string refusal_of(const SafetensorsEntry& entry) {
  if (!safetensors_type(entry.type))
    return fmt::format("the tensor has the element type {} (expected F64, F32, F16, BF16, I8 to I64, U8 to U64 or BOOL)",
                       entry.type);
  if (entry.shape.size() > 4)
    return fmt::format("the tensor has more than 4 dimensions (its shape is {})", to_string(entry.shape));
  return {};
}

}  // namespace

std::string_view safetensors_type_name(DType type) noexcept {
  const auto found = std::ranges::find(type_names, type, &std::pair<DType, std::string_view>::first);
  return found == type_names.end() ? std::string_view() : found->second;
}

std::optional<DType> safetensors_type(std::string_view name) noexcept {
  const auto found = std::ranges::find(type_names, name, &std::pair<DType, std::string_view>::second);
  return found == type_names.end() ? std::nullopt : std::optional(found->first);
}

Array parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& label,
                        std::string_view name) {
  const SafetensorsHeader header = parse_safetensors_header(bytes, label);
  std::vector<std::string> names;
  names.reserve(header.entries.size());
  for (const SafetensorsEntry& entry : header.entries) names.push_back(entry.name);
  const SafetensorsEntry& entry = header.entries[choose_array(names, name, label)];
  const std::string refusal = refusal_of(entry);
  if (!refusal.empty()) throw Error(Status::data, location_of(label, entry.name), refusal);
  ElementLayout layout;
  layout.type = *safetensors_type(entry.type);
  layout.shape = entry.shape;
  return arrange_elements(layout, std::move(owner),
                          bytes.subspan(header.data_offset + static_cast<std::size_t>(entry.begin),
                                        static_cast<std::size_t>(entry.end - entry.begin)));
}

std::vector<ArrayEntry> list_safetensors(std::span<const std::byte> bytes, const std::string& label) {
  std::vector<ArrayEntry> result;
  for (SafetensorsEntry& entry : parse_safetensors_header(bytes, label).entries) {
    ArrayEntry listed;
    listed.dtype = safetensors_type(entry.type);
    listed.type_name = listed.dtype ? std::string(dtype_name(*listed.dtype)) : entry.type;
    listed.refusal = refusal_of(entry);
    listed.name = std::move(entry.name);
    listed.shape = std::move(entry.shape);
    result.push_back(std::move(listed));
  }
  return result;
}

}  // namespace attn
