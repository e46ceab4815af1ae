// What this machine can do at most, measured: multiply-adds in registers, and reading memory.
#pragma once

#include <attn/array.hpp>

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

namespace attn::analysis {

/// The floating-point peak of `threads` threads that compute at once: independent chains of fused multiply-adds in vector
/// registers, starting from random numbers, in units of T's operations a second (a multiply-add is two). Measured a little at a
/// time, between other measurements, because a processor's clock changes; the best counts, as it does for what is held against
/// it.
template <class T>
class PeakMeter {
 public:
  /// `isa` is one of engine::available_isas().
  PeakMeter(const std::string& isa, std::size_t threads);

  /// Measures for about 50 milliseconds. Throws Error(memory) when the system refuses so many threads.
  void measure();
  /// Operations a second; 0 before the first measure().
  [[nodiscard]] double flops_per_second() const noexcept { return best_; }

 private:
  std::string isa_;
  std::size_t threads_;
  std::size_t steps_ = 0;  ///< of one round; found by the first measure()
  double best_ = 0;
  std::vector<T> inputs_;
  std::vector<T> sums_;
};

/// How many bytes a second `threads` threads take from memory when they add up the elements of `arrays` (of T), each its share.
/// Small arrays are read again and again, so that a cache that holds them answers. Measured once between any two runs of what is
/// held against it, because memory is shared with whatever else runs; the best counts, as it does for those.
template <class T>
class ReadMeter {
 public:
  /// `isa` is one of engine::available_isas().
  ReadMeter(std::vector<Array> arrays, const std::string& isa, std::size_t threads);

  /// Reads everything once, 16 MiB or more. Throws Error(memory) when the system refuses so many threads.
  void measure();
  /// 0 before the first measure() and for arrays without an element.
  [[nodiscard]] double bytes_per_second() const noexcept { return best_; }

 private:
  std::vector<Array> arrays_;
  std::string isa_;
  std::size_t threads_;
  std::size_t elements_ = 0;
  double best_ = 0;
};

/// An array of uniform numbers of mean 0 and variance 1, element i a function of seed, stream and i alone, made by `threads`
/// threads. Throws Error(interrupted) when `cancelled` becomes true.
template <class T>
[[nodiscard]] Array random_array(const Shape& shape, std::uint64_t seed, std::uint32_t stream, std::size_t threads,
                                 const std::atomic<bool>* cancelled);

}  // namespace attn::analysis
