// From numbers to places on a colour map or an axis, and the round numbers to mark there.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace attn::render {

/// Numbers from `low` to `high` go to 0 to 1, linearly or by their logarithms.
struct Scale {
  double low = 0;
  double high = 1;
  bool is_log = false;
  bool has_nan = false;    ///< some cell holds no number
  bool is_cut = false;     ///< of a logarithmic scale: some numbers are below `low`, or 0
  std::string title = {};  ///< what the numbers are

  /// NaN for NaN; outside of [low, high] the nearer end.
  [[nodiscard]] double place(double value) const noexcept;
};

/// A logarithmic scale goes down this far from its largest number at most.
inline constexpr double kDecades = 6;

/// The scale that shows all `values`: from 0, or the lowest of them where one is negative, to the largest; a logarithmic one from
/// the least positive number. NaN and infinities are left aside.
class ScaleMaker {
 public:
  void take(std::span<const double> values) noexcept;
  [[nodiscard]] double lowest() const noexcept { return lowest_; }
  [[nodiscard]] bool has_nan() const noexcept { return has_nan_; }
  [[nodiscard]] Scale scale(bool is_log) const;

 private:
  double lowest_ = 0;
  double highest_ = 0;
  double least_positive_ = 0;  ///< 0: none
  bool has_nan_ = false;
  bool has_zero_ = false;
};

struct Tick {
  double value = 0;
  std::string text;
};

/// The ends of the scale, and round numbers between them that keep their distance, `most` in all or a few less.
[[nodiscard]] std::vector<Tick> ticks_of(const Scale& scale, std::size_t most);

/// Round indices below `length` (0, 10, 20, ..), `most` of them or fewer.
[[nodiscard]] std::vector<std::size_t> index_ticks(std::size_t length, std::size_t most);

}  // namespace attn::render
