// The typed array: memory, shapes, and exact conversions between element types.
#include <attn/array.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

/// Calls `f` with a pointer to the elements in their own type.
template <class F>
decltype(auto) visit(DType type, const std::byte* data, F&& f) {
  const void* p = data;
  switch (type) {
    case DType::f16:
      return f(static_cast<const Half*>(p));
    case DType::bf16:
      return f(static_cast<const BFloat*>(p));
    case DType::f32:
      return f(static_cast<const float*>(p));
    case DType::f64:
      return f(static_cast<const double*>(p));
    case DType::i8:
      return f(static_cast<const std::int8_t*>(p));
    case DType::i16:
      return f(static_cast<const std::int16_t*>(p));
    case DType::i32:
      return f(static_cast<const std::int32_t*>(p));
    case DType::i64:
      return f(static_cast<const std::int64_t*>(p));
    case DType::u8:
      return f(static_cast<const std::uint8_t*>(p));
    case DType::u16:
      return f(static_cast<const std::uint16_t*>(p));
    case DType::u32:
      return f(static_cast<const std::uint32_t*>(p));
    case DType::u64:
      return f(static_cast<const std::uint64_t*>(p));
    case DType::boolean:
      return f(static_cast<const bool*>(p));
  }
  throw Error(Status::defect, "unknown element type");
}

/// Every step for every value and choices by masks, so that loops become vector code: compilers make branches of comparisons.
inline float widened(Half value) {
  constexpr std::uint32_t one = 1U << 23U;            // in the exponent of a float
  constexpr std::uint32_t bias = (127U - 15U) * one;  // between the exponents of the two types
  constexpr std::uint32_t smallest = bias + one;      // 2^-14
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000U) << 16U;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(value.bits & 0x7FFFU) << 13U;
  const std::uint32_t exponent = magnitude & (31 * one);
  // Of 31 + 1 and of 1 + 31 a bit is carried beyond the exponent's five.
  const std::uint32_t is_special = 0U - ((exponent + one) >> 28U);      // infinity and NaN
  const std::uint32_t is_normal = 0U - ((exponent + 31 * one) >> 28U);  // or special
  const std::uint32_t normal = magnitude + bias + (bias & is_special);
  // Subnormals and zero: the mantissa below a 1 that is taken away again, exactly.
  const float subnormal = std::bit_cast<float>(magnitude + smallest) - std::bit_cast<float>(smallest);
  return std::bit_cast<float>(sign | (normal & is_normal) | (std::bit_cast<std::uint32_t>(subnormal) & ~is_normal));
}

inline float widened(BFloat value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U); }

/// Half-precision values as float, all others as they are.
inline float plain(Half value) { return widened(value); }
inline float plain(BFloat value) { return widened(value); }
template <class T>
T plain(T value) {
  return value;
}

/// One value from its plain type to the plain type To. Integers that a float cannot hold exactly round to nearest even.
template <class To, class From>
To cast(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // The limits as From round outwards, so the upper one is excluded and 2^63 does not slip through.
    const From low = static_cast<From>(std::numeric_limits<To>::min());
    const From high = std::ldexp(From{1}, std::numeric_limits<To>::digits);
    const From whole = std::trunc(value);
    if (!(whole >= low && whole < high))
      throw Error(Status::data, fmt::format("the value {} does not fit into {}", value, dtype_name(dtype_of<To>)));
    return static_cast<To>(whole);
  } else if constexpr (std::is_integral_v<To> && !std::is_same_v<From, bool>) {
    if (!std::in_range<To>(value))
      throw Error(Status::data, fmt::format("the value {} does not fit into {}", value, dtype_name(dtype_of<To>)));
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

/// To float on the way to a half-precision type, so that the second rounding gives what a single one would: what float cannot
/// hold is cut and leaves a mark in the last bit (Boldo and Melquiond 2008, "round to odd").
template <class From>
float halfway(From value) {
  const float rounded = cast<float>(value);
  if constexpr (std::is_same_v<From, double>) {
    if (!std::isnan(value) && static_cast<double>(rounded) != value) {
      const bool grew = std::abs(static_cast<double>(rounded)) > std::abs(value);
      return std::bit_cast<float>((std::bit_cast<std::uint32_t>(rounded) - (grew ? 1U : 0U)) | 1U);
    }
  }
  return rounded;
}

template <class To, class From>
void convert_all(const From* from, std::size_t count, To* to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = cast<To>(plain(from[i]));
}

}  // namespace

std::size_t item_size(DType type) noexcept {
  switch (type) {
    case DType::i8:
    case DType::u8:
    case DType::boolean:
      return 1;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
    case DType::u16:
      return 2;
    case DType::f32:
    case DType::i32:
    case DType::u32:
      return 4;
    case DType::f64:
    case DType::i64:
    case DType::u64:
      return 8;
  }
  return 0;
}

std::string_view dtype_name(DType type) noexcept {
  switch (type) {
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
    case DType::i8:
      return "int8";
    case DType::i16:
      return "int16";
    case DType::i32:
      return "int32";
    case DType::i64:
      return "int64";
    case DType::u8:
      return "uint8";
    case DType::u16:
      return "uint16";
    case DType::u32:
      return "uint32";
    case DType::u64:
      return "uint64";
    case DType::boolean:
      return "bool";
  }
  return "unknown";
}

bool is_floating(DType type) noexcept {
  return type == DType::f16 || type == DType::bf16 || type == DType::f32 || type == DType::f64;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::size_t element_count(const Shape& shape, std::size_t item_bytes) {
  // A dimension of size 0 makes the product 0, but the others must still be sane: readers rely on it.
  std::size_t count = 1;
  bool any_zero = false;
  for (const std::size_t size : shape) {
    if (size == 0) {
      any_zero = true;
      continue;
    }
    if (__builtin_mul_overflow(count, size, &count))
      throw Error(Status::data, fmt::format("the shape {} has more elements than memory can address", to_string(shape)));
  }
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, item_bytes, &bytes) ||
      bytes > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()))
    throw Error(Status::data, fmt::format("an array of shape {} has more bytes than memory can address", to_string(shape)));
  return any_zero ? 0 : count;
}

Array::Array(DType type, Shape shape) : type_(type), shape_(std::move(shape)), size_(element_count(shape_, item_size(type))) {
  // calloc gives untouched zero pages, so a large output costs memory only where it is written.
  void* memory = std::calloc(std::max<std::size_t>(bytes(), 1), 1);  // NOLINT(cppcoreguidelines-no-malloc)
  if (memory == nullptr)
    throw Error(Status::memory, fmt::format("no memory for an array of shape {} ({} bytes)", to_string(shape_), bytes()));
  owner_ = std::shared_ptr<void>(memory, [](void* p) { std::free(p); });  // NOLINT(cppcoreguidelines-no-malloc)
  owned_ = static_cast<std::byte*>(memory);
  data_ = owned_;
}

Array::Array(DType type, Shape shape, std::shared_ptr<const void> owner, const std::byte* data)
    : type_(type),
      shape_(std::move(shape)),
      size_(element_count(shape_, item_size(type))),
      owner_(std::move(owner)),
      data_(data) {}

std::byte* Array::mutable_data() {
  if (owned_ == nullptr) throw Error(Status::defect, "this array is a view and must not be written");
  return owned_;
}

Array Array::reshaped(Shape shape) const {
  if (element_count(shape) != size_)
    throw Error(Status::data,
                fmt::format("{} elements of shape {} cannot take the shape {}", size_, to_string(shape_), to_string(shape)));
  Array result = *this;
  result.shape_ = std::move(shape);
  return result;
}

Array Array::converted(DType type) const {
  if (type == type_) return *this;
  Array result(type, shape_);
  convert_to(type, result.mutable_data());
  return result;
}

void Array::convert_to(DType type, std::size_t first, std::size_t count, std::byte* out) const {
  if (type == type_) {
    if (count > 0) std::memcpy(out, data_ + first * item_size(type), count * item_size(type));
    return;
  }
  visit(type_, data_ + first * item_size(type_), [&](const auto* from) {
    void* to = out;
    switch (type) {
      case DType::f16:
        for (std::size_t i = 0; i < count; ++i) static_cast<std::uint16_t*>(to)[i] = float_to_half(halfway(plain(from[i])));
        break;
      case DType::bf16:
        for (std::size_t i = 0; i < count; ++i) static_cast<std::uint16_t*>(to)[i] = float_to_bfloat(halfway(plain(from[i])));
        break;
      case DType::f32:
        convert_all(from, count, static_cast<float*>(to));
        break;
      case DType::f64:
        convert_all(from, count, static_cast<double*>(to));
        break;
      case DType::i8:
        convert_all(from, count, static_cast<std::int8_t*>(to));
        break;
      case DType::i16:
        convert_all(from, count, static_cast<std::int16_t*>(to));
        break;
      case DType::i32:
        convert_all(from, count, static_cast<std::int32_t*>(to));
        break;
      case DType::i64:
        convert_all(from, count, static_cast<std::int64_t*>(to));
        break;
      case DType::u8:
        convert_all(from, count, static_cast<std::uint8_t*>(to));
        break;
      case DType::u16:
        convert_all(from, count, static_cast<std::uint16_t*>(to));
        break;
      case DType::u32:
        convert_all(from, count, static_cast<std::uint32_t*>(to));
        break;
      case DType::u64:
        convert_all(from, count, static_cast<std::uint64_t*>(to));
        break;
      case DType::boolean:
        convert_all(from, count, static_cast<bool*>(to));
        break;
    }
  });
}

double Array::at_flat(std::size_t i) const {
  return visit(type_, data_, [i](const auto* from) { return static_cast<double>(plain(from[i])); });
}

void Array::require(DType type) const {
  if (type != type_)
    throw Error(Status::defect, fmt::format("an array of {} was used as {}", dtype_name(type_), dtype_name(type)));
}

float half_to_float(std::uint16_t bits) noexcept { return widened(Half{bits}); }

float bfloat_to_float(std::uint16_t bits) noexcept { return widened(BFloat{bits}); }

std::uint16_t float_to_half(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16U) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // 65520 and above round to infinity
  if (magnitude < 0x38800000U) {
    // Below 2^-14 the result is a multiple of 2^-24; adding 0.5 lets the addition round to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F)));
  }
  const std::uint32_t odd = (magnitude >> 13U) & 1U;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13U));
}

std::uint16_t float_to_bfloat(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

}  // namespace attn
