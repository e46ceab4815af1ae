// Seeded random and structured arrays, the same bytes on every machine.
#include "analysis/generate.hpp"

#include "analysis/numbers.hpp"
#include "analysis/orthogonal.hpp"
#include "analysis/rearrange.hpp"
#include "base/philox.hpp"
#include "base/portable_math.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

/// Numbers of the random streams, part of what a seed means: never reused, never changed.
enum Stream : std::uint32_t { normal_stream = 0, uniform_stream = 1, integer_stream = 2, class_stream = 3 };

/// Fills values of the flattened array from `first` on.
using Filler = std::function<void(std::size_t first, std::span<double> values)>;

/// Word `index` of a stream, reading its pair only once for two neighbours.
class WordReader {
 public:
  explicit WordReader(RandomWords words) : words_(words) {}
  std::uint64_t at(std::uint64_t index) {
    if (index / 2 != block_) {
      block_ = index / 2;
      pair_ = words_.pair(block_);
    }
    return pair_[index % 2];
  }

 private:
  RandomWords words_;
  std::uint64_t block_ = std::numeric_limits<std::uint64_t>::max();
  std::array<std::uint64_t, 2> pair_{};
};

/// A whole number below `count`, every one equally likely: the high part of a product, drawn again in the sliver that would
/// favour some (Lemire 2019).
std::uint64_t below(std::uint64_t count, const RandomWords& words, std::uint64_t index) {
  __extension__ using Wide = unsigned __int128;
  const std::uint64_t sliver = (0 - count) % count;
  for (std::uint32_t draw = 0;; ++draw) {
    const Wide product = Wide{words.pair(index / 2, draw)[index % 2]} * count;
    if (static_cast<std::uint64_t>(product) >= sliver) return static_cast<std::uint64_t>(product >> 64U);
  }
}

/// Standard normal numbers. 52 random bits and a half stand strictly between 0 and 1, and symmetrically.
Filler normal_numbers(std::uint64_t seed, double mean, double std) {
  return [=](std::size_t first, std::span<double> values) {
    WordReader words(RandomWords(seed, normal_stream));
    for (double& x : values) {
      const double p = (static_cast<double>(words.at(first++) >> 12U) + 0.5) * 0x1p-52;
      x = mean + std * normal_quantile(p);
    }
  };
}

/// The largest value of `type` below `high`.
double below_high(double high, DType type) {
  if (type == DType::f32) {
    const auto rounded = static_cast<float>(high);
    const double lower = static_cast<double>(std::nextafter(rounded, -std::numeric_limits<float>::infinity()));
    return static_cast<double>(rounded) < high ? static_cast<double>(rounded) : lower;
  }
  return std::nextafter(high, -std::numeric_limits<double>::infinity());
}

Filler uniform_numbers(const Recipe& recipe) {
  const double last = below_high(recipe.high, recipe.dtype);
  return [recipe, last](std::size_t first, std::span<double> values) {
    WordReader words(RandomWords(recipe.seed, uniform_stream));
    for (double& x : values) {
      const double u = static_cast<double>(words.at(first++) >> 11U) * 0x1p-53;
      x = std::min(recipe.low + (recipe.high - recipe.low) * u, last);
    }
  };
}

Filler whole_numbers(const Recipe& recipe) {
  const RandomWords words(recipe.seed, integer_stream);
  const auto count = static_cast<std::uint64_t>(recipe.high - recipe.low) + 1;
  return [=](std::size_t first, std::span<double> values) {
    for (double& x : values) x = recipe.low + static_cast<double>(below(count, words, first++));
  };
}

Filler one_hot_rows(const Recipe& recipe) {
  const RandomWords words(recipe.seed, class_stream);
  const std::size_t classes = recipe.shape.back();
  return [=](std::size_t first, std::span<double> values) {
    std::ranges::fill(values, 0.0);
    for (std::size_t row = first / classes; row * classes < first + values.size(); ++row) {
      const std::size_t one = row * classes + below(classes, words, row);
      if (one >= first && one < first + values.size()) values[one - first] = 1;
    }
  };
}

/// Column 2c of row p is sin(p w), column 2c+1 cos(p w), with w = 10000^(-2c/dim).
Filler positions(const Shape& shape) {
  const std::size_t dim = shape.back();
  const std::size_t length = shape.size() > 1 ? shape[shape.size() - 2] : 1;
  std::vector<DoubleDouble> waves;
  for (std::size_t c = 0; c < dim; c += 2) waves.push_back(wave_number(c, dim));
  return [=, waves = std::move(waves)](std::size_t first, std::span<double> values) {
    for (double& x : values) {
      const std::size_t column = first % dim;
      const auto [sine, cosine] = sine_cosine(first / dim % length, waves[column / 2]);
      x = column % 2 == 0 ? sine : cosine;
      ++first;
    }
  };
}

Filler identity(const Shape& shape) {
  const std::size_t columns = shape.back();
  const std::size_t rows = shape.size() > 1 ? shape[shape.size() - 2] : 1;
  return [=](std::size_t first, std::span<double> values) {
    for (double& x : values) {
      x = first % columns == first / columns % rows ? 1 : 0;
      ++first;
    }
  };
}

void check(const Recipe& recipe) {
  const auto finite = [](double x) { return std::isfinite(x); };
  if (recipe.shape.empty() || recipe.shape.size() > 4)
    throw Error(Status::usage, fmt::format("a shape has 1 to 4 sizes, not {}", recipe.shape.size()));
  try {
    (void)element_count(recipe.shape, item_size(DType::f64));
  } catch (const Error& error) {
    throw Error(Status::memory, error.what());
  }
  const bool fractions = recipe.kind == Kind::normal || recipe.kind == Kind::uniform || recipe.kind == Kind::orthogonal ||
                         recipe.kind == Kind::positions;
  if (fractions && !is_floating(recipe.dtype))
    throw Error(Status::usage, fmt::format("these numbers have fractions, which {} cannot hold", dtype_name(recipe.dtype)),
                "whole numbers: --kind integers --low 0 --high 9");
  if (recipe.kind == Kind::normal && !(finite(recipe.mean) && finite(recipe.std) && recipe.std >= 0))
    throw Error(Status::usage,
                fmt::format("--mean {} --std {}: both must be finite and --std not negative", recipe.mean, recipe.std));
  if (recipe.kind == Kind::uniform && !(finite(recipe.low) && finite(recipe.high - recipe.low) && recipe.low < recipe.high))
    throw Error(Status::usage, fmt::format("--low {} must be below --high {}", recipe.low, recipe.high));
  if (recipe.kind != Kind::integers) return;
  const auto whole = [](double x) { return x == std::trunc(x) && std::abs(x) <= 0x1p52; };
  if (!whole(recipe.low) || !whole(recipe.high) || recipe.low > recipe.high)
    throw Error(Status::usage, fmt::format("--low {} and --high {} must be whole numbers within 2^52, and --low not above --high",
                                           recipe.low, recipe.high));
}

Filler filler_of(const Recipe& recipe) {
  switch (recipe.kind) {
    case Kind::normal:
      return normal_numbers(recipe.seed, recipe.mean, recipe.std);
    case Kind::uniform:
      return uniform_numbers(recipe);
    case Kind::integers:
      return whole_numbers(recipe);
    case Kind::one_hot:
      return one_hot_rows(recipe);
    case Kind::positions:
      return positions(recipe.shape);
    case Kind::identity:
      return identity(recipe.shape);
    case Kind::range:
      return [](std::size_t first, std::span<double> values) {
        for (double& x : values) x = static_cast<double>(first++);
      };
    case Kind::zeros:
      return [](std::size_t, std::span<double> values) { std::ranges::fill(values, 0.0); };
    case Kind::ones:
      return [](std::size_t, std::span<double> values) { std::ranges::fill(values, 1.0); };
    case Kind::orthogonal:
      break;
  }
  throw Error(Status::defect, "this kind is not made element by element");
}

Array orthogonal(const Recipe& recipe) {
  Array result(DType::f64, recipe.shape);
  const std::span<double> values = result.mutable_values<double>();
  normal_numbers(recipe.seed, 0, 1)(0, values);
  const std::size_t columns = recipe.shape.back();
  const std::size_t rows = recipe.shape.size() > 1 ? recipe.shape[recipe.shape.size() - 2] : 1;
  for (std::size_t first = 0; first < values.size(); first += rows * columns)
    orthogonalize(values.subspan(first, rows * columns), rows, columns);
  return result;
}

}  // namespace

Array generate(const Recipe& recipe) {
  check(recipe);
  if (recipe.kind == Kind::orthogonal) return retyped(orthogonal(recipe), recipe.dtype, false).array;
  Array result(recipe.dtype, recipe.shape);
  if (result.empty()) return result;
  const Filler fill = filler_of(recipe);
  constexpr std::size_t piece = 4096;
  Array buffer(DType::f64, {piece});
  std::byte* to = result.mutable_data();
  for (std::size_t first = 0; first < result.size(); first += piece) {
    const std::size_t count = std::min(piece, result.size() - first);
    fill(first, buffer.mutable_values<double>().first(count));
    const Array numbers = retyped(flat_slice(buffer, 0, count), recipe.dtype, false).array;
    numbers.convert_to(recipe.dtype, to + first * item_size(recipe.dtype));
  }
  return result;
}

}  // namespace attn::analysis
