// Tables of angles for rotary positions, and the rotation of one row.
#include "engine/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attn::engine {

namespace {

constexpr std::int64_t kSharedPlaces = 64;  ///< positions that share an entry of the block table

double scaled(double frequency, const RopeScaling& s) {
  switch (s.kind) {
    case RopeScaling::Kind::linear:
      return frequency / s.factor;
    case RopeScaling::Kind::llama3: {
      // Waves in the trained length: 0 at and below `low`, 1 at and above `high`.
      const double waves = s.length * frequency / (2 * std::numbers::pi);
      const double share = std::clamp((waves - s.low) / (s.high - s.low), 0.0, 1.0);
      return (1 - share) * frequency / s.factor + share * frequency;
    }
    default:
      return frequency;  // those that are another base have become one in the plan
  }
}

}  // namespace

std::int64_t Rope::block_of(std::int64_t position) noexcept {
  return position / kSharedPlaces - (position % kSharedPlaces < 0 ? 1 : 0);  // rounded down, also below 0
}

void Rope::add_angles(std::int64_t position, std::vector<double>& cosine, std::vector<double>& sine) const {
  for (const double frequency : frequency_) {
    const double angle = static_cast<double>(position) * frequency;
    cosine.push_back(std::cos(angle));
    sine.push_back(std::sin(angle));
  }
}

Rope::Rope(const AttentionOptions& options, std::size_t head_dim, std::int64_t first, std::int64_t last)
    : interleaved_(options.rope == RopePairing::interleaved),
      pairs_((options.rope_dim == 0 ? head_dim : options.rope_dim) / 2),
      first_block_(block_of(first)) {
  for (std::size_t i = 0; i < pairs_; ++i) {
    const double frequency = std::pow(options.rope_base, -static_cast<double>(i) / static_cast<double>(pairs_));
    frequency_.push_back(scaled(frequency, options.rope_scaling));
  }
  for (std::int64_t block = first_block_; block <= block_of(last); ++block)
    add_angles(block * kSharedPlaces, block_cosine_, block_sine_);
  for (std::int64_t place = 0; place < kSharedPlaces; ++place) add_angles(place, place_cosine_, place_sine_);
}

template <class T>
void Rope::rotate(std::int64_t position, T* row) const noexcept {
  const std::int64_t block = block_of(position);
  const std::size_t from = static_cast<std::size_t>(block - first_block_) * pairs_;
  const std::size_t place = static_cast<std::size_t>(position - block * kSharedPlaces) * pairs_;
  const std::size_t step = interleaved_ ? 2 : 1;
  const std::size_t partner = interleaved_ ? 1 : pairs_;
  for (std::size_t i = 0; i < pairs_; ++i) {
    const double c = block_cosine_[from + i] * place_cosine_[place + i] - block_sine_[from + i] * place_sine_[place + i];
    const double s = block_sine_[from + i] * place_cosine_[place + i] + block_cosine_[from + i] * place_sine_[place + i];
    T& first = row[i * step];
    T& second = row[i * step + partner];
    const auto x = static_cast<double>(first);
    const auto y = static_cast<double>(second);
    first = static_cast<T>(x * c - y * s);
    second = static_cast<T>(x * s + y * c);
  }
}

template void Rope::rotate(std::int64_t, float*) const noexcept;
template void Rope::rotate(std::int64_t, double*) const noexcept;

}  // namespace attn::engine
