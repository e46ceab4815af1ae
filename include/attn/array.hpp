// A typed n-dimensional array: row-major, native byte order, in owned or memory-mapped memory that is shared and never copied by
// value.
#pragma once

#include <attn/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace attn {

/// Element types of files. Computation happens in f32 or f64 only.
enum class DType : std::uint8_t { f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean };

/// Bytes of one element.
[[nodiscard]] std::size_t item_size(DType type) noexcept;
/// The NumPy name: "float32", "bfloat16", "int64", "bool".
[[nodiscard]] std::string_view dtype_name(DType type) noexcept;
/// True for f16, bf16, f32 and f64.
[[nodiscard]] bool is_floating(DType type) noexcept;

using Shape = std::vector<std::size_t>;

/// "[2, 3, 4]", for messages.
[[nodiscard]] std::string to_string(const Shape& shape);
/// Product of the dimensions (1 for an empty shape). Throws Error(data) when it, or it times `item_bytes`, overflows std::size_t.
[[nodiscard]] std::size_t element_count(const Shape& shape, std::size_t item_bytes = 1);

/// Maps C++ types to DType: dtype_of<float> == DType::f32. f16 and bf16 have no C++ type in C++20.
template <class T>
inline constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, std::int8_t>) return DType::i8;
  if constexpr (std::is_same_v<T, std::int16_t>) return DType::i16;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DType::u8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return DType::u16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return DType::u32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return DType::u64;
  if constexpr (std::is_same_v<T, bool>) return DType::boolean;
}();

/// Elements are contiguous in row-major order. Copies share the memory; a const Array never changes it.
class Array {
 public:
  /// No dimension list, no data: what a default-constructed option holds.
  Array() = default;
  /// New memory, filled with zeros. Throws Error(memory) when it cannot be had.
  Array(DType type, Shape shape);
  /// A view of `data`, which `owner` keeps alive. `data` must be aligned for `type` and hold element_count(shape) elements.
  Array(DType type, Shape shape, std::shared_ptr<const void> owner, const std::byte* data);

  /// An owned array holding `values`.
  template <class T>
  [[nodiscard]] static Array of(Shape shape, const std::vector<T>& values) {
    Array result(dtype_of<T>, std::move(shape));
    if (values.size() != result.size()) throw Error(Status::defect, "Array::of: as many values as the shape says are needed");
    std::size_t i = 0;
    for (T& element : result.mutable_values<T>()) element = values[i++];
    return result;
  }

  [[nodiscard]] DType dtype() const noexcept { return type_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t rank() const noexcept { return shape_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return size_ * item_size(type_); }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  /// Only for arrays that own their memory (throws Error(defect) otherwise).
  [[nodiscard]] std::byte* mutable_data();

  /// The elements as T. Throws Error(defect) when T is not the element type.
  template <class T>
  [[nodiscard]] std::span<const T> values() const {
    require(dtype_of<T>);
    return {reinterpret_cast<const T*>(data_), size_};
  }
  template <class T>
  [[nodiscard]] std::span<T> mutable_values() {
    require(dtype_of<T>);
    return {reinterpret_cast<T*>(mutable_data()), size_};
  }

  /// The same memory under another shape. Throws Error(data) when that has another number of elements.
  [[nodiscard]] Array reshaped(Shape shape) const;
  /// The same values as `type`: itself when nothing changes, else a new array. Widening is exact, narrowing rounds to nearest
  /// even (float to integer truncates towards zero and throws Error(data) when a value does not fit; anything to bool is "!= 0").
  [[nodiscard]] Array converted(DType type) const;
  /// The same conversion into memory of the caller: size() elements of `type`, aligned for it.
  void convert_to(DType type, std::byte* out) const { convert_to(type, 0, size_, out); }
  /// The same for elements [first, first + count) of the flattened array.
  void convert_to(DType type, std::size_t first, std::size_t count, std::byte* out) const;
  /// Element i of the flattened array as double (integers above 2^53 are rounded).
  [[nodiscard]] double at_flat(std::size_t i) const;

 private:
  void require(DType type) const;

  DType type_ = DType::f32;
  Shape shape_;
  std::size_t size_ = 0;
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  std::byte* owned_ = nullptr;
};

/// One float16 or bfloat16 number, given by its bits, as float32: exact.
[[nodiscard]] float half_to_float(std::uint16_t bits) noexcept;
[[nodiscard]] float bfloat_to_float(std::uint16_t bits) noexcept;
/// The bits of the nearest float16 or bfloat16, of two the even one; overflow gives infinity, NaN stays NaN.
[[nodiscard]] std::uint16_t float_to_half(float value) noexcept;
[[nodiscard]] std::uint16_t float_to_bfloat(float value) noexcept;

}  // namespace attn
