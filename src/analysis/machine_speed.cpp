// What this machine can do at most, measured: multiply-adds in registers, and reading memory.
#include "analysis/machine_speed.hpp"

#include "analysis/team.hpp"
#include "base/philox.hpp"
#include "base/stopwatch.hpp"
#include "kernels/peak.hpp"

#include <algorithm>
#include <chrono>
#include <numbers>
#include <utility>

namespace attn::analysis {

namespace {

/// A number in [0, 1) from the upper bits of a word.
double unit(std::uint64_t word) { return static_cast<double>(word >> 11U) * 0x1p-53; }

/// values[i] for first <= i < last; a pair of words gives two neighbours.
template <class T>
void fill(const RandomWords& words, std::size_t first, std::size_t last, std::span<T> values) {
  const double width = 2 * std::numbers::sqrt3;
  for (std::size_t pair = first / 2; 2 * pair < last; ++pair) {
    const auto both = words.pair(pair);
    for (std::size_t i = std::max(first, 2 * pair); i < std::min(last, 2 * pair + 2); ++i)
      values[i] = static_cast<T>((unit(both[i % 2]) - 0.5) * width);
  }
}

template <class T>
double seconds_of(const kernels::PeakKernels<T>& kernels, const std::vector<T>& inputs, std::size_t steps, T* sums) {
  Stopwatch watch;
  kernels.fused_chains(inputs.data(), steps, sums);
  return watch.lap();
}

/// The part of `count` things that thread i of `threads` takes.
struct Share {
  std::size_t begin;
  std::size_t end;
};

Share share_of(std::size_t count, std::size_t i, std::size_t threads) {
  const std::size_t each = count / threads;
  const std::size_t more = count % threads;
  const std::size_t begin = i * each + std::min(i, more);
  return {begin, begin + each + (i < more ? 1 : 0)};
}

/// Each thread's sums lie this far apart, so that no two share a cache line.
constexpr std::size_t kApart = 2 * kernels::kPeakLanes;

}  // namespace

template <class T>
PeakMeter<T>::PeakMeter(const std::string& isa, std::size_t threads)
    : isa_(isa), threads_(threads), inputs_(kernels::kPeakInputs * kernels::kPeakLanes), sums_(threads * kApart) {
  const RandomWords words(1, 0);
  // With factors and addends between 1/4 and 3/4 the chains stay between 0 and 3: never infinite, never subnormal.
  for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i] = static_cast<T>(0.25 + 0.5 * unit(words.pair(i / 2)[i % 2]));
}

template <class T>
void PeakMeter<T>::measure() {
  const kernels::PeakKernels<T>& kernels = kernels::peak_kernels<T>(isa_);
  constexpr double round_seconds = 0.002;
  if (steps_ == 0) {
    steps_ = 1024;
    while (seconds_of<T>(kernels, inputs_, steps_, sums_.data()) < round_seconds) steps_ *= 2;
  }
  const double seconds = fastest_round(threads_, 25 * round_seconds, [&](std::size_t i) {
    kernels.fused_chains(inputs_.data(), steps_, sums_.data() + i * kApart);
  });
  const double flops = static_cast<double>(kernels.flops_per_step) * static_cast<double>(steps_ * threads_);
  best_ = std::max(best_, flops / seconds);
}

template <class T>
ReadMeter<T>::ReadMeter(std::vector<Array> arrays, const std::string& isa, std::size_t threads)
    : arrays_(std::move(arrays)), isa_(isa), threads_(threads) {
  for (const Array& array : arrays_) elements_ += array.size();
}

template <class T>
void ReadMeter<T>::measure() {
  if (elements_ == 0) return;
  const kernels::PeakKernels<T>& kernels = kernels::peak_kernels<T>(isa_);
  // So much that waiting for each other does not count.
  constexpr std::size_t least = std::size_t{1} << 22U;
  const std::size_t times = std::max<std::size_t>(1, least / elements_);
  std::vector<T> sums(threads_ * kApart);
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> begin(threads_);
  std::vector<Clock::time_point> end(threads_);
  on_each_thread(threads_, [&](std::size_t i) {
    begin[i] = Clock::now();
    for (std::size_t time = 0; time < times; ++time) {
      for (const Array& array : arrays_) {
        const auto values = array.values<T>();
        const Share share = share_of(values.size(), i, threads_);
        sums[i * kApart] += kernels.read(values.data() + share.begin, share.end - share.begin);
      }
    }
    end[i] = Clock::now();
  });
  const double seconds = std::chrono::duration<double>(*std::ranges::max_element(end) - *std::ranges::min_element(begin)).count();
  best_ = std::max(best_, static_cast<double>(times) * static_cast<double>(elements_ * sizeof(T)) / seconds);
}

template <class T>
Array random_array(const Shape& shape, std::uint64_t seed, std::uint32_t stream, std::size_t threads,
                   const std::atomic<bool>* cancelled) {
  Array array(dtype_of<T>, shape);
  const std::span<T> values = array.mutable_values<T>();
  const RandomWords words(seed, stream);
  on_each_thread(threads, [&](std::size_t thread) {
    const Share share = share_of(values.size(), thread, threads);
    constexpr std::size_t piece = std::size_t{1} << 20U;
    for (std::size_t first = share.begin; first < share.end; first += piece) {
      if (cancelled != nullptr && *cancelled) throw Error(Status::interrupted, "interrupted");
      fill(words, first, std::min(first + piece, share.end), values);
    }
  });
  return array;
}

template class PeakMeter<float>;
template class PeakMeter<double>;
template class ReadMeter<float>;
template class ReadMeter<double>;
template Array random_array<float>(const Shape&, std::uint64_t, std::uint32_t, std::size_t, const std::atomic<bool>*);
template Array random_array<double>(const Shape&, std::uint64_t, std::uint32_t, std::size_t, const std::atomic<bool>*);

}  // namespace attn::analysis
