// Pictures of attention against the weights that the same run writes: each pixel has the colour of its cell's exact mean.
#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "render/layout.hpp"
#include "render/png.hpp"
#include "request/look.hpp"
#include "request/plot_view.hpp"
#include "tools/errors.hpp"
#include "tools/process.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::testing;
using render::Colour;

/// A working directory with q, k and v of a shape.
class Place {
 public:
  Place() { std::filesystem::current_path(directory_.path()); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { std::filesystem::current_path("/"); }
  void write(const std::string& name, const Shape& shape, std::uint64_t seed, const std::string& dtype = "float32") const {
    write_input(directory_.path() / name, {.dtype = dtype, .shape = shape, .seed = seed, .amplitude = 2});
  }

 private:
  TemporaryDirectory directory_;
};

/// Runs `attn plot` inside the test.
std::vector<std::string> plot_inside(const Words& arguments) {
  request::LookRequest r;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& table = request::plot_table();
    const auto row = std::ranges::find_if(table, [&](const auto& one) {
      return arguments[i] == "--" + one.option.name ||
             (one.option.letter != 0 && arguments[i] == std::string("-") + one.option.letter);
    });
    REQUIRE(row != table.end());
    row->set(r, row->option.is_switch() ? "" : arguments.at(++i));
  }
  Listener listener;
  request::plot(r, {.reporter = listener,
                    .print = {},
                    .progress = {},
                    .cancelled = nullptr,
                    .writing = {},
                    .cores = 2,
                    .temporary_folder = "/tmp"});
  return listener.warnings;
}

/// Weights as a file holds them, [panels, q_len, kv_len] in double.
struct Dense {
  std::size_t panels = 1;
  std::size_t q_len = 0;
  std::size_t kv_len = 0;
  std::vector<double> weights;

  explicit Dense(const std::string& file) {
    Listener listener;
    const Array array = read_array(FileName::parse(file), {}, listener).array;
    const Shape& shape = array.shape();
    q_len = shape[shape.size() - 2];
    kv_len = shape.back();
    panels = array.size() / (q_len * kv_len);
    weights.resize(array.size());
    array.convert_to(DType::f64, reinterpret_cast<std::byte*>(weights.data()));
  }
  [[nodiscard]] double cell(std::size_t panel, std::size_t r, std::size_t c, const render::Grid& grid, bool is_mean) const {
    double sum = 0;
    double largest = -std::numeric_limits<double>::infinity();
    double count = 0;
    for (std::size_t i = r * q_len / grid.rows; i < (r + 1) * q_len / grid.rows; ++i)
      for (std::size_t j = c * kv_len / grid.columns; j < (c + 1) * kv_len / grid.columns; ++j) {
        const double w = weights[(panel * q_len + i) * kv_len + j];
        sum += w;
        largest = std::max(largest, w);
        if (std::isnan(w)) largest = sum;
        ++count;
      }
    return is_mean ? sum / count : largest;
  }
};

struct Case {
  Words options;
  bool is_mean = true;
  bool is_log = false;
  std::size_t size = 800;
};

/// Where the cells of a picture are: its frame is found by its colour, from the upper left.
struct Found {
  std::size_t x = 0;
  std::size_t y = 0;
};
std::vector<Found> corners(const Pixels& pixels, std::size_t width, std::size_t height) {
  std::vector<Found> found;
  const auto is_frame = [&](std::size_t x, std::size_t y) { return pixels.at(x, y) == render::kFaint; };
  for (std::size_t y = 0; y + height + 1 < pixels.height; ++y)
    for (std::size_t x = 0; x + width + 1 < pixels.width; ++x) {
      bool is_corner = is_frame(x, y) && is_frame(x + width + 1, y) && is_frame(x, y + height + 1) && !is_frame(x + 1, y + 1);
      for (std::size_t i = 0; is_corner && i <= width; ++i) is_corner = is_frame(x + i, y) && is_frame(x + i, y + height + 1);
      for (std::size_t i = 0; is_corner && i <= height; ++i) is_corner = is_frame(x, y + i) && is_frame(x + width + 1, y + i);
      if (is_corner) found.push_back({x + 1, y + 1});
    }
  return found;
}

bool is_near(Colour a, Colour b) {
  return std::abs(a.red - b.red) <= 2 && std::abs(a.green - b.green) <= 2 && std::abs(a.blue - b.blue) <= 2;
}

/// Each pixel of each panel against the dense weights.
void check_picture(const std::string& file, const Dense& dense, const Case& one) {
  const Pixels pixels = read_png(read_file(file));
  render::Grid grid{std::min(dense.q_len, one.size), std::min(dense.kv_len, one.size), {}};
  const render::CellSize cell = render::cell_size(grid.rows, grid.columns, one.size);
  const auto width = static_cast<std::size_t>(cell.width) * grid.columns;
  const auto height = static_cast<std::size_t>(cell.height) * grid.rows;
  const std::vector<Found> panels = corners(pixels, width, height);
  REQUIRE(panels.size() == dense.panels);
  std::vector<double> cells;
  for (std::size_t p = 0; p < dense.panels; ++p)
    for (std::size_t r = 0; r < grid.rows; ++r)
      for (std::size_t c = 0; c < grid.columns; ++c) cells.push_back(dense.cell(p, r, c, grid, one.is_mean));
  render::ScaleMaker maker;
  maker.take(cells);
  const render::Scale scale = maker.scale(one.is_log);
  std::size_t wrong = 0;
  for (std::size_t p = 0; p < dense.panels; ++p)
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        const std::size_t at =
            (p * grid.rows + y / static_cast<std::size_t>(cell.height)) * grid.columns + x / static_cast<std::size_t>(cell.width);
        if (!is_near(pixels.at(panels[p].x + x, panels[p].y + y), render::viridis(scale.place(cells[at])))) ++wrong;
      }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("pictures have the colours of the weights that the same run writes") {
  const Place place;
  place.write("q.npy", {1, 3, 211, 8}, 1);
  place.write("k.npy", {1, 3, 307, 8}, 2);
  place.write("q64.npy", {97, 4}, 3, "float64");
  const Words qk{"-q", "q.npy", "-k", "k.npy"};
  const std::vector<Case> cases{
      {qk, true, false, 307},
      {joined(qk, {"--causal", "--query-offset", "end"}), true, false, 100},
      {joined(qk, {"--plot-pool", "max", "--window", "9:3", "--query-offset", "0"}), false, false, 100},
      {joined(qk, {"--plot-log", "--normalize", "sigmoid"}), true, true, 64},
      {joined(qk, {"--normalize", "none", "--plot-pool", "max", "--window", "40:3", "--query-offset", "0"}), false, false, 50},
      {joined(qk, {"--normalize", "double-softmax", "--alibi", "--query-offset", "0"}), true, false, 307},
      {joined(qk, {"--engine", "reference", "--score", "sqeuclidean"}), true, false, 90},
      {{"-q", "q64.npy", "--score", "cosine", "--causal"}, true, false, 800},
      {{"-q", "q64.npy", "--score", "cosine", "--empty-rows", "nan", "--key-lengths", "0"}, true, false, 10},
  };
  for (const Case& one : cases) {
    INFO(shell_text(one.options));
    const Words sized = joined(one.options, {"--plot-size", std::to_string(one.size), "-o", "none", "--weights", "w.npy"});
    (void)run_inside(joined(sized, {"--plot-out", "p.png", "--threads", "1"}));
    check_picture("p.png", Dense("w.npy"), one);
    (void)run_inside(joined(sized, {"--plot-out", "p2.png", "--threads", "5"}));
    CHECK(read_file("p.png") == read_file("p2.png"));
  }
}

TEST_CASE("a picture changes no bit of the other outputs, and is the same from attn plot and from the weights' file") {
  const Place place;
  place.write("x.npy", {150, 8}, 4);
  const Words x{"-q", "x.npy", "--causal"};
  (void)run_inside(joined(x, {"-o", "y.npy", "--weights", "w.npy"}));
  (void)run_inside(joined(x, {"-o", "y2.npy", "--weights", "w2.npy", "--plot-out", "p.png", "--stats-out", "s.csv"}));
  CHECK(read_file("y.npy") == read_file("y2.npy"));
  CHECK(read_file("w.npy") == read_file("w2.npy"));
  plot_inside(joined(x, {"-o", "p2.png"}));
  CHECK(read_file("p.png") == read_file("p2.png"));
  const Words titled{"--title", "t", "--size", "60"};
  plot_inside(joined(joined(x, titled), {"-o", "a.txt"}));
  plot_inside(joined({"--from-weights", "w.npy", "-o", "b.txt"}, titled));
  CHECK(read_file("a.txt") == read_file("b.txt"));
  CHECK(read_file("a.txt").find("150 queries x 150 keys") != std::string::npos);
}

TEST_CASE("files of weights of every type and rank are drawn") {
  const Place place;
  for (const char* type : {"float16", "float32", "float64"})
    for (const Shape& shape : {Shape{40, 30}, Shape{2, 40, 30}, Shape{2, 3, 40, 30}}) {
      INFO(type, ", ", to_string(shape));
      place.write("w.npy", shape, 9, type);
      const std::vector<std::string> warnings = plot_inside({"--from-weights", "w.npy", "-o", "p.png", "--size", "120"});
      REQUIRE(warnings.size() == 1);  // rows of random numbers do not add up to 1
      check_picture("p.png", Dense("w.npy"), {{}, true, false, 120});
    }
}

TEST_CASE("what cannot be drawn is refused") {
  const Place place;
  place.write("x.npy", {150, 4}, 4);
  place.write("w.npy", {20, 20}, 4);
  place.write("heads.npy", {1, 70, 5, 4}, 4);
  const auto plot = [](const Words& more) { return status_of([&] { plot_inside(more); }); };
  const Words x{"-q", "x.npy", "-o", "p.png"};
  CHECK(plot(x) == std::nullopt);
  CHECK(plot({"-q", "x.npy", "-o", "p.jpg"}) == Status::usage);
  CHECK(plot({"-q", "x.npy", "-o", "p"}) == Status::usage);
  CHECK(plot({"-q", "x.npy", "-o", "-"}) == Status::usage);
  CHECK(plot({"-q", "x.npy", "-o", "none"}) == Status::usage);
  CHECK(plot(joined(x, {"--size", "0"})) == Status::usage);
  CHECK(plot(joined(x, {"--size", "5000"})) == Status::usage);
  CHECK(plot(joined(x, {"--head", "1"})) == Status::usage);
  CHECK(plot(joined(x, {"--head", "2..1"})) == Status::usage);
  CHECK(plot(joined(x, {"--head", "a"})) == Status::usage);
  CHECK(plot(joined(x, {"--batch", "0,1"})) == Status::usage);
  CHECK(plot(joined(x, {"--kind", "lines"})) == Status::usage);
  CHECK(plot({"-q", "heads.npy", "-o", "p.png"}) == Status::usage);
  CHECK(plot({"-q", "heads.npy", "-o", "p.png", "--kind", "heads"}) == std::nullopt);
  CHECK(plot({"-q", "heads.npy", "-o", "p.png", "--head", "0,68..69"}) == std::nullopt);
  CHECK(plot({"-q", "heads.npy", "-o", "p.txt", "--kind", "lines"}) == Status::usage);
  CHECK(plot({"--from-weights", "w.npy", "-q", "x.npy", "-o", "p.png"}) == Status::usage);
  CHECK(plot({"--from-weights", "w.npy", "-o", "p.png", "--log"}) == Status::data);  // some are negative
  CHECK(plot(joined(x, {"--log", "--normalize", "none"})) == Status::data);
}

TEST_CASE("lists of numbers") {
  using request::chosen;
  CHECK(chosen("--head", "", 3) == std::vector<std::size_t>{0, 1, 2});
  CHECK(chosen("--head", "2,0", 3) == std::vector<std::size_t>{0, 2});
  CHECK(chosen("--head", "1..3,2,5", 6) == std::vector<std::size_t>{1, 2, 3, 5});
  for (const char* wrong : {"3", "0..3", "2..1", "x", "1,", ",1", "..", "0..", "-1", "99999999999999999999"}) {
    INFO(wrong);
    CHECK(status_of([&] { (void)chosen("--head", wrong, 3); }) == Status::usage);
  }
}
