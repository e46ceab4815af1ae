// Opens a page of attn plot in a headless browser, moves the pointer over cells, chooses heads, enlarges, and holds what the page
// then shows against the numbers it was made from. Exit status 77: there is no browser.
#include "tools/listener.hpp"
#include "tools/process.hpp"

#include <attn/io.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr int kSkipped = 77;
constexpr unsigned kSeed = 20;
constexpr std::size_t kHeads = 12;
constexpr std::size_t kLength = 512;

/// Weights from 1e-44 (below what is normal in float32) to 1, some of them 0, infinite and NaN.
std::vector<float> make_weights(std::size_t count) {
  std::mt19937 random(kSeed);
  std::uniform_real_distribution<float> power(-44.0F, 0.0F);
  std::vector<float> weights(count);
  for (std::size_t i = 0; i < count; ++i)
    weights[i] = i % 97 == 0 ? 0.0F : static_cast<float>(std::pow(10.0, static_cast<double>(power(random))));
  weights.at(5) = std::nanf("");
  weights.at(7) = HUGE_VALF;
  return weights;
}

struct Cell {
  std::size_t head = 0;
  std::size_t row = 0;
  std::size_t column = 0;
};

std::vector<Cell> make_cells() {
  std::mt19937 random(kSeed + 1);
  std::vector<Cell> cells{{0, 0, 0}, {0, 0, 5}, {0, 0, 7}, {11, 511, 511}, {3, 0, 511}, {3, 511, 0}};
  for (int n = 0; n < 200; ++n) cells.push_back({random() % kHeads, random() % kLength, random() % kLength});
  return cells;
}

/// Moves the pointer over each cell, every other time after enlarging around it, and puts what is read into the page.
std::string script_of(const std::vector<Cell>& cells) {
  Json list = Json::array();
  for (const Cell& c : cells) list.push_back({c.head, c.row, c.column});
  return R"(<script>
const found = [];
let enlarged = 0;
for (const [n, [head, row, column]] of )" +
         list.dump() + R"(.entries()) {
  $('column').value = head;
  $('column').dispatchEvent(new Event('change'));
  if (n % 2) {
    const p = middle_of(row, column);
    map.dispatchEvent(new WheelEvent('wheel', {clientX: p.x, clientY: p.y, deltaY: -900, cancelable: true}));
  } else {
    $('whole').click();
  }
  let at = middle_of(row, column);
  // A browser rounds the pointer's place to whole pixels, so that a cell at the edge may be moved out of sight.
  if (!cell_at(inside({clientX: at.x, clientY: at.y}))) {
    $('whole').click();
    at = middle_of(row, column);
  }
  if (view.zoom > 2) ++enlarged;
  map.dispatchEvent(new PointerEvent('pointermove', {clientX: at.x, clientY: at.y}));
  found.push($('readout').textContent);
}
const wide = map.getContext('2d').getImageData(0, 0, map.width, map.height).data;
const seen = new Set();
for (let i = 0; i < wide.length; i += 4) seen.add(wide[i] << 16 | wide[i + 1] << 8 | wide[i + 2]);
const result = document.createElement('pre');
result.id = 'result';
result.textContent = JSON.stringify({found, enlarged, colours: seen.size, requests: performance.getEntriesByType('resource').length});
document.body.append(result);
</script>)";
}

/// What the page should say of a weight: three digits, correctly rounded, as JavaScript writes them.
void require_says(const std::string& readout, const Cell& cell, float weight) {
  const std::string start = fmt::format("head {}, query {}, key {}: ", cell.head, cell.row, cell.column);
  if (!readout.starts_with(start)) throw std::runtime_error("'" + readout + "' should begin with '" + start + "'");
  const std::string number = readout.substr(start.size());
  if (std::isnan(weight) || std::isinf(weight) || weight == 0) {
    const std::string expected = std::isnan(weight) ? "NaN" : std::isinf(weight) ? "inf" : "0";
    if (number != expected) throw std::runtime_error(readout + " (expected " + expected + ")");
    return;
  }
  const std::string got = fmt::format("{:.2e}", std::strtod(number.c_str(), nullptr));
  const std::string expected = fmt::format("{:.2e}", static_cast<double>(weight));
  if (got != expected) throw std::runtime_error(readout + " (expected " + expected + ")");
}

std::string find_browser() {
  if (const char* named = std::getenv("ATTN_BROWSER")) return named;
  for (const char* name : {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}) {
    const std::string path = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t colon = std::min(path.find(':', at), path.size());
      const fs::path candidate = fs::path(path.substr(at, colon - at)) / name;
      if (fs::exists(candidate)) return candidate.string();
      at = colon + 1;
    }
  }
  return {};
}

void run(const std::string& command, const fs::path& folder, const std::string& output, int seconds) {
  std::map<std::string, std::string> environment{
      {"PATH", std::getenv("PATH")}, {"HOME", folder.string()}, {"TMPDIR", folder.string()}, {"LC_ALL", "C"}};
  const Ending ending = run_shell(command, {.directory = folder,
                                            .environment = environment,
                                            .standard_output = folder / output,
                                            .standard_error = folder / "messages.txt",
                                            .limit = std::chrono::seconds(seconds)});
  if (!ending.is("0"))
    throw std::runtime_error(command + " ended with " + ending.text() + ":\n" + read_file(folder / "messages.txt"));
}

std::string unescaped(std::string text) {
  for (const auto& [name, character] : {std::pair<std::string, std::string>{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}})
    for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
      text.replace(at, name.size(), character);
  return text;
}

void check_page(const std::string& attn, const std::string& browser) {
  const TemporaryDirectory folder;
  const Shape shape{kHeads, kLength, kLength};
  const std::vector<float> weights = make_weights(element_count(shape));
  write_array(FileName::parse((folder.path() / "w.npy").string()), Array::of<float>(shape, weights), {});
  run("'" + attn + "' plot --from-weights w.npy -o page.html --log --quiet", folder.path(), "none.txt", 120);
  std::string page = read_file(folder.path() / "page.html");
  if (page.size() > 15'000'000) throw std::runtime_error(fmt::format("the page has {} bytes", page.size()));
  const std::vector<Cell> cells = make_cells();
  page.insert(page.rfind("</body>"), script_of(cells));
  write_file(folder.path() / "moved.html", page);
  run("'" + browser +
          "' --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=profile --virtual-time-budget=60000 "
          "--dump-dom \"file://$PWD/moved.html\"",
      folder.path(), "dom.html", 300);
  const std::string dom = read_file(folder.path() / "dom.html");
  const std::string mark = "<pre id=\"result\">";
  const std::size_t begin = dom.rfind(mark);
  if (begin == std::string::npos) throw std::runtime_error("the page's script did not come to its end");
  const std::size_t end = dom.find("</pre>", begin);
  const Json result = Json::parse(unescaped(dom.substr(begin + mark.size(), end - begin - mark.size())));
  if (result["found"].size() != cells.size()) throw std::runtime_error("cells are missing");
  for (std::size_t n = 0; n < cells.size(); ++n) {
    const Cell& c = cells[n];
    require_says(result["found"][n], c, weights[(c.head * kLength + c.row) * kLength + c.column]);
  }
  if (result["enlarged"] < 80) throw std::runtime_error("too few cells were seen enlarged");
  if (result["colours"] < 100) throw std::runtime_error("the map has too few colours to show these numbers");
  if (result["requests"] != 0) throw std::runtime_error("the page asks for something beyond itself");
  std::printf("%zu cells of a page of %zu bytes are right\n", cells.size(), page.size());
}

}  // namespace

int main(int count, char** arguments) {
  const std::string browser = find_browser();
  if (browser.empty()) {
    std::puts("skipped: there is no chromium on the path (apt-get install chromium), and ATTN_BROWSER names none");
    return kSkipped;
  }
  try {
    if (count != 2) throw std::runtime_error("usage: attn_page_test ATTN");
    check_page(arguments[1], browser);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "page_test (seed %u): %s\n", kSeed, error.what());
    return 1;
  }
}
