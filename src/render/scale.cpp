// From numbers to places on a colour map or an axis.
#include "render/scale.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace attn::render {

namespace {

/// The least of 1, 2, 5, 10, 20, .. (times powers of ten) that is `least` or more.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

double Scale::place(double value) const noexcept {
  if (std::isnan(value)) return value;
  if (is_log) {
    if (!(value > low)) return 0;
    return std::clamp(std::log(value / low) / std::log(high / low), 0.0, 1.0);
  }
  if (value == low) return 0;
  return std::clamp((value - low) / (high - low), 0.0, 1.0);
}

void ScaleMaker::take(std::span<const double> values) noexcept {
  for (const double value : values) {
    if (std::isnan(value)) has_nan_ = true;
    if (!std::isfinite(value)) continue;
    lowest_ = std::min(lowest_, value);
    highest_ = std::max(highest_, value);
    if (value > 0)
      least_positive_ = least_positive_ == 0 ? value : std::min(least_positive_, value);
    else
      has_zero_ = true;
  }
}

Scale ScaleMaker::scale(bool is_log) const {
  Scale scale;
  scale.has_nan = has_nan_;
  scale.is_log = is_log && highest_ > 0;
  scale.high = highest_;
  if (scale.is_log) {
    scale.low = std::max(least_positive_, highest_ * std::pow(10.0, -kDecades));
    scale.is_cut = has_zero_ || least_positive_ < scale.low;
    // One number alone has no room on a logarithmic scale.
    if (scale.low == scale.high) scale.low = scale.high / 10;
    return scale;
  }
  scale.low = lowest_;
  if (scale.low == scale.high) scale.high = scale.low + 1;
  return scale;
}

std::vector<Tick> ticks_of(const Scale& scale, std::size_t most) {
  std::vector<Tick> ticks{{scale.low, fmt::format("{:.3g}", scale.low)}};
  const auto room = static_cast<double>(std::max<std::size_t>(most, 2));
  const auto add = [&](double value) {
    const double place = scale.place(value);
    // As many as there is room for leave a gap of 1 / (room - 1) each; two thirds of it are enough for a number.
    const double gap = 2 / (3 * (room - 1));
    if (place - scale.place(ticks.back().value) > gap && 1 - place > gap) ticks.push_back({value, fmt::format("{:.6g}", value)});
  };
  if (scale.is_log) {
    const int first = static_cast<int>(std::ceil(std::log10(scale.low) - 1e-9));
    const int last = static_cast<int>(std::floor(std::log10(scale.high) + 1e-9));
    const int step = std::max(1, static_cast<int>(std::ceil((last - first + 1) / room)));
    for (int power = first; power <= last; power += step) add(std::pow(10.0, power));
  } else {
    const double step = round_step((scale.high - scale.low) / room);
    const double first = std::ceil(scale.low / step) * step;
    // Rounding may make one more of them than there is room for, never many.
    for (std::size_t n = 0; n <= 2 * most + 2; ++n) {
      const double value = first + static_cast<double>(n) * step;
      if (value < scale.high) add(std::abs(value) < step / 2 ? 0.0 : value);
    }
  }
  ticks.push_back({scale.high, fmt::format("{:.3g}", scale.high)});
  return ticks;
}

std::vector<std::size_t> index_ticks(std::size_t length, std::size_t most) {
  std::vector<std::size_t> ticks;
  if (length == 0) return ticks;
  const double least = static_cast<double>(length) / static_cast<double>(std::max<std::size_t>(most, 1));
  const auto step = static_cast<std::size_t>(std::max(1.0, round_step(std::max(least, 1.0))));
  for (std::size_t i = 0; i < length; i += step) ticks.push_back(i);
  return ticks;
}

}  // namespace attn::render
