// Compares what a document prints with what a command prints now: text as it stands, numbers to half a unit of their last digit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace attn::document {

/// One place where the two are not the same.
struct Difference {
  std::size_t line = 0;  ///< of the printed text, from 1
  std::string printed;   ///< a number or a line of the document; empty where it has none
  std::string now;       ///< what stands there now; empty where nothing does
};

struct PrintedComparison {
  std::size_t numbers = 0;  ///< pairs of numbers that were compared
  std::vector<Difference> differences;
  double largest = 0;  ///< largest distance of two numbers that differ, NaN counting as infinite
};

/// Lines are compared in pairs. Runs of blanks count as one, blanks at the ends of a line do not count. A number agrees when it
/// is no further from the printed one than half a unit of the printed one's last digit: 0.33 stands for [0.325, 0.335], 1.5e-7
/// for 1.45e-7 to 1.55e-7. Digits that belong to a word (f32, x.npy2) are text, and so are nan and inf. A printed line `...`
/// stands for any number of lines.
[[nodiscard]] PrintedComparison compare_printed(std::string_view printed, std::string_view now);

/// Half a unit of the last digit of a number in decimal notation. Throws Error(usage) for other text.
[[nodiscard]] double half_unit(std::string_view number);

}  // namespace attn::document
