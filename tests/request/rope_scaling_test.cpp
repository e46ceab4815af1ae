// Scaled rotary positions: scores of equal rows against the cosines of the scaled angles, and what is no scaling.
#include "conformance/command.hpp"
#include "tools/errors.hpp"
#include "tools/working_directory.hpp"

#include <attn/io.hpp>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::testing;
namespace fs = std::filesystem;

/// Rows (1, 0) in both of two pairs of features that turn: the score of rows i and j is the sum of the cosines of the angles
/// between them.
void check_frequencies(std::size_t length, const Words& options, double first, double second) {
  const WorkingDirectory place;
  std::vector<double> x;
  for (std::size_t i = 0; i < length; ++i) x.insert(x.end(), {1, 0, 1, 0});
  write_array({"x.npy", {}}, Array::of<double>({length, 4}, x), {});
  const Words words{"x.npy", "--rope", "interleaved", "--rope-base", "100", "--score", "dot", "--scores", "s.npy", "-o", "none"};
  CAPTURE(shell_text(options));
  for (const char* engine : {"tiled", "reference"}) {
    (void)run_inside(joined(joined(words, options), {"--engine", engine}));
    const Array scores = read_result("s.npy");
    for (std::size_t i = 0; i < length; ++i) {
      for (std::size_t j = 0; j < length; ++j) {
        const double apart = static_cast<double>(i) - static_cast<double>(j);
        const double expected = std::cos(apart * first) + std::cos(apart * second);
        CHECK(std::abs(scores.at_flat(i * length + j) - expected) <= 1e-12);
      }
    }
    fs::remove("s.npy");
  }
}

}  // namespace

TEST_CASE("rotary frequencies scaled for longer sequences") {
  check_frequencies(9, {}, 1, 0.1);
  check_frequencies(9, {"--rope-scaling", "none"}, 1, 0.1);
  check_frequencies(9, {"--rope-scaling", "linear:4"}, 0.25, 0.025);
  // Four features: the base is multiplied by the factor squared.
  check_frequencies(9, {"--rope-scaling", "ntk:3"}, 1, 1 / std::sqrt(100 * 9.0));
  check_frequencies(9, {"--rope-scaling", "dynamic:3:9"}, 1, 0.1);
  check_frequencies(9, {"--rope-scaling", "dynamic:3:6"}, 1, 1 / std::sqrt(100 * 2.5 * 2.5));
  // Waves of 2 pi and 20 pi positions, trained on 100: 15.9 and 1.59 of them.
  const double waves = 100 / (20 * std::numbers::pi);
  const double share = (waves - 1) / 3;
  check_frequencies(9, {"--rope-scaling", "llama3:8:1:4:100"}, 1, 0.1 * (share + (1 - share) / 8));
  check_frequencies(9, {"--rope-scaling", "llama3:8:2:4:100"}, 1, 0.1 / 8);
  check_frequencies(9, {"--rope-scaling", "llama3:8:16:17:100"}, 0.125, 0.1 / 8);
  check_frequencies(9, {"--rope-scaling", "llama3:8:1:1.5:100"}, 1, 0.1);
}

TEST_CASE("two features turn by the position itself, whatever the base") {
  const WorkingDirectory place;
  write_array({"x.npy", {}}, Array::of<double>({3, 2}, {1, 0, 1, 0, 1, 0}), {});
  (void)run_inside({"x.npy", "--rope", "half", "--rope-scaling", "ntk:4", "--score", "dot", "--scores", "s.npy", "-o", "none"});
  CHECK(std::abs(read_result("s.npy").at_flat(2) - std::cos(2.0)) <= 1e-12);
}

TEST_CASE("what is no scaling of rotary positions") {
  const WorkingDirectory place;
  write_array({"x.npy", {}}, Array::of<float>({2, 4}, std::vector<float>(8, 1)), {});
  for (const char* text : {"yarn:4", "linear", "linear:4:5", "linear:x", "linear:", "dynamic:2", "llama3:8:1:4", "", ":2"}) {
    CAPTURE(text);
    CHECK_THROWS_AS((void)run_inside({"x.npy", "--rope", "half", "--rope-scaling", text, "-o", "none"}), Error);
  }
  for (const char* text : {"linear:0.5", "linear:nan", "linear:inf", "ntk:-1", "dynamic:2:0", "dynamic:2:nan", "llama3:8:4:4:100",
                           "llama3:8:0:4:100", "llama3:8:1:nan:100", "llama3:8:1:4:-5"}) {
    CAPTURE(text);
    const auto run = [&] { (void)run_inside({"x.npy", "--rope", "half", "--rope-scaling", text, "-o", "none"}); };
    check_refused(run, Status::usage, "--rope-scaling");
  }
}
