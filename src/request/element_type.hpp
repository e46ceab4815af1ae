// Element types as they are called on the command line.
#pragma once

#include "request/option.hpp"

#include <attn/array.hpp>

#include <optional>

namespace attn::request {

/// An element type, or `automatic`: what fits the input. Values besides `automatic` are those of DType.
enum class ElementType : int {
  automatic = -1,
  f16 = static_cast<int>(DType::f16),
  bf16 = static_cast<int>(DType::bf16),
  f32 = static_cast<int>(DType::f32),
  f64 = static_cast<int>(DType::f64),
  i8 = static_cast<int>(DType::i8),
  i16 = static_cast<int>(DType::i16),
  i32 = static_cast<int>(DType::i32),
  i64 = static_cast<int>(DType::i64),
  u8 = static_cast<int>(DType::u8),
  u16 = static_cast<int>(DType::u16),
  u32 = static_cast<int>(DType::u32),
  u64 = static_cast<int>(DType::u64),
  boolean = static_cast<int>(DType::boolean),
};

[[nodiscard]] inline std::optional<DType> dtype_of(ElementType type) noexcept {
  return type == ElementType::automatic ? std::nullopt : std::optional(static_cast<DType>(type));
}

template <>
struct Names<ElementType> {
  static constexpr std::array<std::pair<std::string_view, ElementType>, 14> list{{{"auto", ElementType::automatic},
                                                                                  {"f32", ElementType::f32},
                                                                                  {"f64", ElementType::f64},
                                                                                  {"f16", ElementType::f16},
                                                                                  {"bf16", ElementType::bf16},
                                                                                  {"i8", ElementType::i8},
                                                                                  {"i16", ElementType::i16},
                                                                                  {"i32", ElementType::i32},
                                                                                  {"i64", ElementType::i64},
                                                                                  {"u8", ElementType::u8},
                                                                                  {"u16", ElementType::u16},
                                                                                  {"u32", ElementType::u32},
                                                                                  {"u64", ElementType::u64},
                                                                                  {"bool", ElementType::boolean}}};
};

}  // namespace attn::request
