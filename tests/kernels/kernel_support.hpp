// Random numbers that are the same on every machine, aligned tiles, and comparison by bits.
#pragma once

#include "kernels/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace attn::kernels::test {

template <class T>
inline constexpr T kInf = std::numeric_limits<T>::infinity();

/// SplitMix64 (Steele, Lea and Flood 2014), so that draws do not depend on the standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11U) * 0x1p-53; }
  /// Roughly normal with variance 1: the sum of 12 uniform numbers, without a library's logarithm.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }

 private:
  std::uint64_t state_;
};

/// `rows` rows of kLanes elements, aligned to 64 bytes, filled with NaN so that what is not written shows.
template <class T>
class Lanes {
 public:
  explicit Lanes(std::size_t rows, T fill = std::numeric_limits<T>::quiet_NaN())
      : size_(rows * kLanes), memory_(size_ + 64 / sizeof(T), fill) {}
  Lanes(const Lanes& other) : Lanes(other.size_ / kLanes) { std::memcpy(get(), other.get(), size_ * sizeof(T)); }
  Lanes& operator=(const Lanes&) = delete;

  [[nodiscard]] T* get() { return memory_.data() + skip(); }
  [[nodiscard]] const T* get() const { return memory_.data() + skip(); }
  [[nodiscard]] T& at(std::size_t row, std::size_t lane) { return get()[row * kLanes + lane]; }

 private:
  [[nodiscard]] std::size_t skip() const {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return (64 - address % 64) % 64 / sizeof(T);
  }
  std::size_t size_;
  std::vector<T> memory_;
};

/// True when the first `lanes` of each row are the same bits.
template <class T>
bool same_bits(const Lanes<T>& a, const Lanes<T>& b, std::size_t rows, std::size_t lanes) {
  for (std::size_t j = 0; j < rows; ++j)
    if (std::memcmp(a.get() + j * kLanes, b.get() + j * kLanes, lanes * sizeof(T)) != 0) return false;
  return true;
}

/// True when `count` elements are the same bits, or NaN in both: of two NaNs an addition keeps either.
template <class T>
bool same_numbers(const T* a, const T* b, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (!(std::isnan(a[i]) && std::isnan(b[i])) && std::memcmp(a + i, b + i, sizeof(T)) != 0) return false;
  return true;
}

/// An array that ends where the process may not read: what reads beyond it dies.
template <class T>
class Fenced {
 public:
  explicit Fenced(const std::vector<T>& values) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = values.size() * sizeof(T);
    const std::size_t pages = (bytes + page - 1) / page;
    size_ = (pages + 1) * page;
    memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    char* const end = static_cast<char*>(memory_) + pages * page;
    if (mprotect(end, page, PROT_NONE) != 0) throw std::bad_alloc();
    data_ = reinterpret_cast<T*>(end - bytes);
    std::copy(values.begin(), values.end(), data_);
  }
  ~Fenced() { munmap(memory_, size_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  [[nodiscard]] T* get() const { return data_; }

 private:
  void* memory_;
  std::size_t size_;
  T* data_;
};

template <class T>
std::vector<T> random_values(Random& random, std::size_t count, double scale = 1) {
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random.normal() * scale);
  return values;
}

/// |got - wanted| in units in the last place of `wanted` as T. NaN when either is NaN.
template <class T>
double ulps(T got, long double wanted) {
  const T near = static_cast<T>(wanted < 0 ? -wanted : wanted);
  const T unit = std::nextafter(near, std::numeric_limits<T>::infinity()) - near;
  const long double difference = static_cast<long double>(got) - wanted;
  return static_cast<double>((difference < 0 ? -difference : difference) / static_cast<long double>(unit));
}

}  // namespace attn::kernels::test
