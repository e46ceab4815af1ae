// Changing the numbers of arrays: element types, one-hot rows, rows of unit length.
#include "analysis/numbers.hpp"

#include "analysis/chunks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::analysis {

namespace {

bool is_integer(DType type) { return !is_floating(type) && type != DType::boolean; }

/// The largest magnitude up to which a floating-point type holds every integer.
std::int64_t exact_integers(DType type) {
  switch (type) {
    case DType::f16:
      return std::int64_t{1} << 11;
    case DType::bf16:
      return std::int64_t{1} << 8;
    case DType::f32:
      return std::int64_t{1} << 24;
    default:
      return std::int64_t{1} << 53;
  }
}

[[noreturn]] void inexact(const Array& array, std::size_t flat, const std::string& value, const std::string& why,
                          const std::string& hint) {
  throw Error(Status::data, fmt::format("the value {} at {} {}", value, index_text(flat, array.shape()), why), hint);
}

void require_whole(const Array& array, DType type, bool lossy) {
  // Limits as doubles: the lowest value is exact, the one behind the highest as well.
  const bool is_signed = type == DType::i8 || type == DType::i16 || type == DType::i32 || type == DType::i64;
  const int bits = static_cast<int>(item_size(type)) * 8 - (is_signed ? 1 : 0);
  const double high = std::ldexp(1.0, bits);
  const double low = is_signed ? -high : 0.0;
  for_each_chunk(array, [&](std::size_t first, std::span<const double> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double whole = std::trunc(values[i]);
      if (!(whole >= low && whole < high))
        inexact(array, first + i, fmt::format("{}", values[i]), fmt::format("does not fit into {}", dtype_name(type)), "");
      if (whole != values[i] && !lossy)
        inexact(array, first + i, fmt::format("{}", values[i]),
                fmt::format("has a fraction, which {} cannot hold", dtype_name(type)), "to cut fractions off: --lossy");
    }
  });
}

void require_zero_or_one(const Array& array) {
  for_each_chunk(array, [&](std::size_t first, std::span<const double> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != 0 && values[i] != 1)
        inexact(array, first + i, fmt::format("{}", values[i]), "is neither 0 nor 1, all that bool can hold",
                "to take everything but 0 as true: --lossy");
    }
  });
}

template <class Integer>
void require_exact_integers(const Array& array, DType type) {
  const std::int64_t limit = exact_integers(type);
  const std::span<const Integer> values = array.values<Integer>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Integer value = values[i];
    bool small = std::cmp_less_equal(value, limit);
    if constexpr (std::is_signed_v<Integer>) small = small && std::cmp_greater_equal(value, -limit);
    if (small) continue;
    // Larger integers may still be exact; bits that fall off decide.
    const double wide = static_cast<double>(value);
    const bool overflow = wide == std::ldexp(1.0, std::numeric_limits<Integer>::digits);
    const Array one = Array::of<double>({1}, {wide}).converted(type);
    if (!overflow && static_cast<Integer>(wide) == value && one.at_flat(0) == wide) continue;
    inexact(array, i, fmt::format("{}", value), fmt::format("has no exact {}", dtype_name(type)), "to round it: --lossy");
  }
}

void require_exact_integers(const Array& array, DType type) {
  switch (array.dtype()) {
    case DType::i16:
      return require_exact_integers<std::int16_t>(array, type);
    case DType::i32:
      return require_exact_integers<std::int32_t>(array, type);
    case DType::i64:
      return require_exact_integers<std::int64_t>(array, type);
    case DType::u16:
      return require_exact_integers<std::uint16_t>(array, type);
    case DType::u32:
      return require_exact_integers<std::uint32_t>(array, type);
    case DType::u64:
      return require_exact_integers<std::uint64_t>(array, type);
    default:
      return;  // one byte fits everywhere
  }
}

void require_range(const Array& array, DType type) {
  if (item_size(array.dtype()) == 8) return;  // Array::converted compares these exactly and says which does not fit
  require_whole(array, type, true);
}

/// Finite values that a narrower floating-point type makes infinite.
std::size_t count_overflow(const Array& from, const Array& to) {
  std::size_t count = 0;
  DoubleReader reader(from);
  for_each_chunk(to, [&](std::size_t first, std::span<const double> after) {
    const std::span<const double> before = reader.read(first, after.size());
    for (std::size_t i = 0; i < after.size(); ++i) count += std::isinf(after[i]) && !std::isinf(before[i]) ? 1U : 0U;
  });
  return count;
}

}  // namespace

std::string index_text(std::size_t flat, const Shape& shape) {
  return fmt::format("[{}]", fmt::join(unravel(flat, shape), ", "));
}

Retyped retyped(const Array& array, DType type, bool lossy) {
  const DType from = array.dtype();
  if (type == from) return {.array = array};
  if (type == DType::boolean) {
    if (!lossy) require_zero_or_one(array);
  } else if (is_integer(type) && is_floating(from)) {
    require_whole(array, type, lossy);
  } else if (is_integer(type) && is_integer(from)) {
    require_range(array, type);
  } else if (is_floating(type) && is_integer(from)) {
    if (!lossy) require_exact_integers(array, type);
  }
  Retyped result{.array = array.converted(type)};
  const bool narrower = is_floating(type) && type != DType::f64 && from != DType::boolean;
  if (narrower && item_size(type) < 4 + (from == DType::f64 ? 1U : 0U)) result.overflowed = count_overflow(array, result.array);
  return result;
}

Array one_hot(const Array& ids, std::optional<std::size_t> classes, DType type) {
  constexpr std::size_t most = 100'000;  // a stray id must not ask for terabytes
  std::size_t largest = 0;
  for_each_chunk(ids, [&](std::size_t first, std::span<const double> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double id = values[i];
      const std::string where = index_text(first + i, ids.shape());
      if (!(id >= 0 && id < 0x1p53 && id == std::trunc(id)))
        throw Error(Status::data, fmt::format("the class {} at {} is not a whole number from 0", id, where),
                    "of several columns choose that of the classes: FILE.csv:label");
      if (classes && id >= static_cast<double>(*classes))
        throw Error(Status::data, fmt::format("the class {} at {} is not below --classes {}", id, where, *classes));
      largest = std::max(largest, static_cast<std::size_t>(id));
    }
  });
  if (!classes && largest >= most)
    throw Error(Status::data, fmt::format("the largest class is {}, which would make {} columns", largest, largest + 1),
                fmt::format("if that is meant: --classes {}", largest + 1));
  const std::size_t width = classes.value_or(ids.empty() ? 0 : largest + 1);
  Shape shape = ids.shape();
  if (shape.size() > 1 && shape.back() == 1) shape.pop_back();
  shape.push_back(width);
  if (shape.size() > 4)
    throw Error(Status::data, fmt::format("one-hot rows of ids of shape {} would have {} dimensions (at most 4)",
                                          to_string(ids.shape()), shape.size()));
  Array flags(DType::u8, shape);
  std::byte* row = flags.mutable_data();
  for_each_chunk(ids, [&](std::size_t, std::span<const double> values) {
    for (const double id : values) {
      row[static_cast<std::size_t>(id)] = std::byte{1};
      row += width;
    }
  });
  return flags.converted(type);
}

namespace {

/// A norm as a product, so that tiny and huge rows stay inside the range of double: |x| = scale * rest.
struct Length {
  double scale = 1;
  double rest = 0;
};

Length length_of(std::span<const double> row, RowNorm norm) {
  double largest = 0;
  for (const double x : row) {
    if (std::isnan(x)) return {.rest = x};
    largest = std::max(largest, std::abs(x));
  }
  if (norm == RowNorm::max || largest == 0 || std::isinf(largest)) return {.rest = largest};
  const bool moderate = largest > 0x1p-480 && largest < 0x1p480;
  const double scale = moderate ? 1.0 : largest;
  double sum = 0;
  for (const double x : row) {
    const double part = x / scale;
    sum += norm == RowNorm::l1 ? std::abs(part) : part * part;
  }
  return {.scale = scale, .rest = norm == RowNorm::l1 ? sum : std::sqrt(sum)};
}

}  // namespace

NormalizedRows normalized_rows(const Array& array, RowNorm norm) {
  if (array.rank() == 0) throw Error(Status::data, "a single number has no rows");
  const DType type = is_floating(array.dtype()) ? array.dtype() : DType::f32;
  NormalizedRows result{.array = Array(type, array.shape())};
  if (array.empty()) return result;
  const std::size_t width = array.shape().back();
  const std::size_t block = std::max<std::size_t>(1, chunk_size / width) * width;
  std::byte* to = result.array.mutable_data();
  Array quotients(DType::f64, {block});
  double* quotient = quotients.mutable_values<double>().data();
  DoubleReader reader(array);
  for (std::size_t first = 0; first < array.size(); first += block) {
    const std::span<const double> values = reader.read(first, std::min(block, array.size() - first));
    for (std::size_t i = 0; i < values.size(); i += width) {
      const std::span<const double> row = values.subspan(i, width);
      Length length = length_of(row, norm);
      if (length.rest == 0) {
        if (result.zero_rows++ == 0) result.first_zero = (first + i) / width;
        length.rest = 1;
      }
      for (std::size_t j = 0; j < width; ++j) quotient[i + j] = row[j] / length.scale / length.rest;
    }
    flat_slice(quotients, 0, values.size()).convert_to(type, to + first * item_size(type));
  }
  return result;
}

}  // namespace attn::analysis
