// Rows stored past the caches are copies, wherever they begin and end.
#include "kernels/stream.hpp"

#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

TEST_CASE_TEMPLATE("a streamed row is the row, and nothing beside it is touched", T, float, double) {
  constexpr std::size_t kBeside = 40;
  for (std::size_t count = 0; count <= 70; ++count) {
    for (std::size_t shift = 0; shift < 9; ++shift) {
      CAPTURE(count);
      CAPTURE(shift);
      std::vector<T> from(count + shift + 1);
      for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i) + T(0.5);
      if (count > 3) from[shift + 3] = std::numeric_limits<T>::quiet_NaN();
      std::vector<T> to(count + shift + kBeside, T(-1));
      stream_row(from.data() + shift, count, to.data() + shift);
      flush_streams();
      CHECK(std::memcmp(to.data() + shift, from.data() + shift, count * sizeof(T)) == 0);
      for (std::size_t i = 0; i < shift; ++i) CHECK(to[i] == -1);
      for (std::size_t i = 0; i < kBeside; ++i) CHECK(to[shift + count + i] == -1);
    }
  }
}

}  // namespace attn::kernels::test
