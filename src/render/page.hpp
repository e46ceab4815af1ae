// A picture as one page for a browser: all numbers in it, to be looked at one by one, enlarged, head by head, without a network.
#pragma once

#include "render/picture.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace attn::render {

/// Numbers as a page holds them, in 16 bits each: three decimal digits, correctly rounded, and a power of ten. What the page
/// shows is right to every digit.
class DecimalCode {
 public:
  /// Powers are chosen so that the largest of the numbers has one; those that are 10^70 times smaller (10^34 times where
  /// some are negative) are "too small to tell".
  explicit DecimalCode(std::span<const Panel> panels);

  static constexpr std::uint16_t tiny = 65532;
  static constexpr std::uint16_t minus_infinity = 65533;
  static constexpr std::uint16_t infinity = 65534;
  static constexpr std::uint16_t nan = 65535;

  [[nodiscard]] std::uint16_t code(double value) const;
  /// The number that the page reads from a code; NaN for those that stand for none.
  [[nodiscard]] double value(std::uint16_t code) const;

  /// Powers of ten that positive numbers have; negative ones have as many behind them.
  [[nodiscard]] int powers() const noexcept { return powers_; }
  /// The least of them: of 100e-5 it is -5.
  [[nodiscard]] int least() const noexcept { return least_; }

 private:
  int powers_ = 72;
  int least_ = -71;
};

/// What a page says beside the picture.
struct PageWords {
  std::string pool;  ///< what a pooled cell is: "mean of"
};

/// The bytes of the page. `picture` has the titles of lines and columns of panels, and panels in their order.
[[nodiscard]] std::string draw_page(const Picture& picture, const PageWords& words);

}  // namespace attn::render
