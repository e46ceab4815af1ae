// Numbers as the shortest text that reads back to them: float64, and both as strings.
#include "io/shortest.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace attn {

char* write_shortest(char* to, double value) noexcept {
  if (std::isnan(value)) {  // a sign or payload of NaN means nothing
    constexpr std::string_view nan = "nan";
    return std::copy(nan.begin(), nan.end(), to);
  }
  return std::to_chars(to, to + shortest_size, value).ptr;
}

std::string shortest(float value) {
  char buffer[shortest_size];
  return {buffer, write_shortest(buffer, value)};
}

std::string shortest(double value) {
  char buffer[shortest_size];
  return {buffer, write_shortest(buffer, value)};
}

}  // namespace attn
