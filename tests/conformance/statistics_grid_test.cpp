// Statistics and lists under each score, normalizer and kind of mask against what the oracle's dense weights say, line by line;
// tests/data/make_statistics_grid.py made them.
#include "conformance/case_folder.hpp"
#include "conformance/command.hpp"
#include "conformance/number_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;

/// A matrix of every head, [lines][length]: rows, or columns of it.
struct Lines {
  std::size_t length = 0;
  std::vector<double> numbers;
  [[nodiscard]] std::size_t count() const { return length == 0 ? 0 : numbers.size() / length; }
  [[nodiscard]] std::vector<double> at(std::size_t line) const {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(line * length);
    return {begin, begin + static_cast<std::ptrdiff_t>(length)};
  }
};

double sum_of(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); }

double entropy_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double w : x) sum -= w == 0 ? 0 : w * std::log(w);
  return sum;
}

/// One case of the grid with its dense weights and the lengths of its values.
class Dense {
 public:
  Dense(const Json& own, const double*& numbers)
      : one(own), heads(own["shape"][1]), q_len(own["shape"][2]), kv_len(own["shape"][3]), offset(own["offset"]) {
    const std::size_t all = own["shape"][0].get<std::size_t>() * heads;
    rows.length = norm_rows.length = kv_len;
    rows.numbers.assign(numbers, numbers + all * q_len * kv_len);
    numbers += all * q_len * kv_len;
    for (std::size_t r = 0; r < rows.count(); ++r)
      for (std::size_t j = 0; j < kv_len; ++j)
        norm_rows.numbers.push_back(std::abs(rows.numbers[r * kv_len + j]) * numbers[r / q_len * kv_len + j]);
    numbers += all * kv_len;
  }

  [[nodiscard]] Lines columns_of(const Lines& of) const {
    Lines columns{q_len, {}};
    for (std::size_t head = 0; head < of.count() / q_len; ++head)
      for (std::size_t j = 0; j < kv_len; ++j)
        for (std::size_t i = 0; i < q_len; ++i) columns.numbers.push_back(of.numbers[(head * q_len + i) * kv_len + j]);
    return columns;
  }

  /// How far key j is from the query of row r.
  [[nodiscard]] std::int64_t distance(std::size_t r, std::size_t j) const {
    return static_cast<std::int64_t>(j) - (static_cast<std::int64_t>(r % q_len) + offset);
  }
  [[nodiscard]] bool is_negative() const {
    return std::ranges::any_of(rows.numbers, [](double w) { return w < 0; });
  }

  const Json& one;
  const std::size_t heads;
  const std::size_t q_len;
  const std::size_t kv_len;
  const std::int64_t offset;
  Lines rows;
  Lines norm_rows;
};

/// What a list was asked for.
struct Wanted {
  Words words;
  std::size_t most = 3;
  double minimum = 0;
  double mass = 0;
  bool no_self = false;
};

class GridJudge {
 public:
  GridJudge(const Dense& dense, bool by_norm, double tolerance)
      : dense_(dense), by_norm_(by_norm), tolerance_(tolerance), lines_(by_norm ? dense.norm_rows : dense.rows) {}

  void rows() const {
    const NumberTable table("rows.csv");
    REQUIRE(table.rows() == lines_.count());
    for (std::size_t r = 0; r < lines_.count(); ++r) {
      INFO("row ", r);
      const std::vector<double> shares = shares_of(r);
      check_line_number(table, r, dense_.q_len);
      near(table.at(r, 3), entropy_of(shares));
      near(table.at(r, 4), std::exp(entropy_of(shares)));
      near(table.at(r, 7), distance_of(r, shares));
      largest(table, r, 5, lines_.at(r));
    }
  }

  void columns() const {
    const NumberTable table("columns.csv");
    const Lines columns = dense_.columns_of(lines_);
    REQUIRE(table.rows() == columns.count());
    for (std::size_t c = 0; c < columns.count(); ++c) {
      INFO("column ", c);
      check_line_number(table, c, dense_.kv_len);
      const std::vector<double> own = columns.at(c);
      near(table.at(c, 3), sum_of(own));
      // A masked pair is absent, and no 0 that is larger than negative weights.
      if (dense_.one["normalizer"] != "none" || by_norm_) largest(table, c, 4, own);
    }
  }

  void heads() const {
    const NumberTable table("heads.csv");
    const std::size_t heads = lines_.count() / dense_.q_len;
    REQUIRE(table.rows() == heads);
    for (std::size_t h = 0; h < heads; ++h) {
      INFO("head ", h);
      std::vector<double> sums(4, 0.0);
      for (std::size_t r = h * dense_.q_len; r < (h + 1) * dense_.q_len; ++r) {
        const std::vector<double> shares = shares_of(r);
        sums[0] += entropy_of(shares);
        sums[1] += std::exp(entropy_of(shares));
        sums[2] += std::ranges::max(lines_.at(r));
        sums[3] += distance_of(r, shares);
      }
      for (std::size_t n = 0; n < sums.size(); ++n) near(table.at(h, 2 + n), sums[n] / static_cast<double>(dense_.q_len));
    }
  }

  void patterns() const {
    const NumberTable table("patterns.csv");
    for (std::size_t h = 0; h < lines_.count() / dense_.q_len; ++h) {
      INFO("head ", h);
      const std::vector<double> expected = pattern_of(h);
      for (std::size_t n = 0; n < expected.size(); ++n) near(table.at(h, 3 + n), expected[n]);
    }
  }

  void strongest_keys(const Wanted& wanted) const { strongest(lines_, wanted, 2, 4); }
  void strongest_queries(const Wanted& wanted) const { strongest(dense_.columns_of(lines_), wanted, 4, 2); }

 private:
  void near(double got, double expected) const {
    INFO("got ", got, ", expected ", expected);
    CHECK(std::abs(got - expected) <= tolerance_ * std::max(1.0, std::abs(expected)));
  }

  void check_line_number(const NumberTable& table, std::size_t line, std::size_t length) const {
    CHECK(table.index(line, 0) == line / length / dense_.heads);
    CHECK(table.index(line, 1) == line / length % dense_.heads);
    CHECK(table.index(line, 2) == line % length);
  }

  /// The largest of the line, and its place: one that holds it, the lowest one where keys or queries are the same.
  void largest(const NumberTable& table, std::size_t line, std::size_t column, const std::vector<double>& own) const {
    near(table.at(line, column), std::ranges::max(own));
    const std::size_t place = table.index(line, column + 1);
    REQUIRE(place < own.size());
    near(own[place], std::ranges::max(own));
    if (dense_.one["kind"] == "ties") CHECK(std::find(own.begin(), own.end(), own[place]) - own.begin() == std::int64_t(place));
  }

  /// What entropy and distance are of: weights as they are, norms as shares.
  [[nodiscard]] std::vector<double> shares_of(std::size_t r) const {
    std::vector<double> shares = lines_.at(r);
    const double total = sum_of(shares);
    if (by_norm_ && total != 0)
      for (double& x : shares) x /= total;
    return shares;
  }

  [[nodiscard]] double distance_of(std::size_t r, const std::vector<double>& shares) const {
    double sum = 0;
    for (std::size_t j = 0; j < shares.size(); ++j) sum += shares[j] * static_cast<double>(std::abs(dense_.distance(r, j)));
    return sum;
  }

  /// previous, first, self, band, uniform, after the score of the pattern that they name.
  [[nodiscard]] std::vector<double> pattern_of(std::size_t head) const {
    std::vector<double> sums(5, 0.0);
    std::vector<double> counts(5, 0.0);
    for (std::size_t r = head * dense_.q_len; r < (head + 1) * dense_.q_len; ++r) {
      const std::vector<double> shares = shares_of(r);
      const auto keys = static_cast<double>(std::ranges::count_if(shares, [](double x) { return x != 0; }));
      if (keys < 2) continue;
      const std::int64_t p = -dense_.distance(r, 0);
      const auto has = [&](std::int64_t key) { return key >= 0 && key < static_cast<std::int64_t>(shares.size()); };
      const auto at = [&](std::int64_t key) { return has(key) ? shares[static_cast<std::size_t>(key)] : 0.0; };
      double band = 0;
      for (std::int64_t key = p - 3; key <= p + 3; ++key) band += at(key);
      const double total = sum_of(shares);
      const double even = (std::log(total) + entropy_of(shares) / total) / std::log(keys);
      const double found[] = {at(p - 1), at(0), at(p), band, even};
      const bool tells[] = {has(p - 1), true, has(p), true, true};
      for (std::size_t n = 0; n < 5; ++n) {
        if (!tells[n]) continue;
        sums[n] += found[n];
        counts[n] += 1;
      }
    }
    for (std::size_t n = 0; n < 5; ++n) sums[n] = counts[n] == 0 ? 0 : sums[n] / counts[n];
    const double sharpest = std::max({sums[0], sums[1], sums[2]});
    sums.insert(sums.begin(), sums[4] >= 0.95 ? sums[4] : sharpest < 0.5 && sums[3] >= 0.75 ? sums[3] : sharpest);
    return sums;
  }

  /// The list of one line: its weights are the largest that may be listed, each at a place that holds it.
  void strongest(const Lines& lines, const Wanted& wanted, std::size_t own, std::size_t other) const {
    const NumberTable table("top.csv");
    std::map<std::size_t, std::vector<std::size_t>> listed;
    const std::size_t count = own == 2 ? dense_.q_len : dense_.kv_len;
    for (std::size_t t = 0; t < table.rows(); ++t) {
      auto& line = listed[(table.index(t, 0) * dense_.heads + table.index(t, 1)) * count + table.index(t, own)];
      line.push_back(t);
      CHECK(table.index(t, 3) == line.size());
    }
    for (std::size_t l = 0; l < lines.count(); ++l) {
      INFO("line ", l);
      std::vector<double> numbers = lines.at(l);
      const double total = sum_of(numbers);
      for (std::size_t n = 0; n < numbers.size() && wanted.no_self; ++n) {
        const std::size_t key = own == 2 ? n : l % count;
        const std::size_t query = own == 2 ? l % count : n;
        if (dense_.distance(query, key) == 0) numbers[n] = 0;
      }
      std::vector<std::size_t> taken;
      for (const std::size_t t : listed[l]) {
        const std::size_t place = table.index(t, other);
        REQUIRE(place < numbers.size());
        near(table.at(t, 5), numbers[place]);
        CHECK(std::ranges::find(taken, place) == taken.end());
        taken.push_back(place);
      }
      check_choice(numbers, taken, total, wanted);
    }
  }

  void check_choice(const std::vector<double>& numbers, const std::vector<std::size_t>& taken, double total,
                    const Wanted& wanted) const {
    std::vector<std::size_t> order(numbers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return numbers[a] > numbers[b]; });
    // 0 is no weight, and what is not told from it may be none.
    std::erase_if(order, [&](std::size_t n) { return numbers[n] == 0 || numbers[n] < wanted.minimum - tolerance_; });
    std::size_t expected = std::min(order.size(), wanted.most);
    double held = 0;
    for (std::size_t n = 0; n < expected && wanted.mass > 0; ++n) {
      held += numbers[order[n]];
      if (held >= wanted.mass * total) expected = n + 1;
    }
    const auto unsure = [&](double x) { return std::abs(x) <= tolerance_ || std::abs(x - wanted.minimum) <= tolerance_; };
    // One more or less where a sum or a weight is at the limit.
    const bool at_limit = (wanted.mass > 0 && std::abs(held - wanted.mass * total) <= tolerance_ * (1 + total)) ||
                          (wanted.mass > 0 && wanted.no_self) ||
                          std::ranges::any_of(numbers, [&](double x) { return x != 0 && unsure(x); });
    if (!at_limit) CHECK(taken.size() == expected);
    for (std::size_t n = 0; n < std::min(taken.size(), order.size()); ++n) near(numbers[taken[n]], numbers[order[n]]);
    if (dense_.one["kind"] != "ties" || at_limit) return;
    // Of keys or queries that are the same, the lowest first.
    for (std::size_t n = 0; n < taken.size(); ++n)
      for (std::size_t lower = 0; lower < taken[n]; ++lower)
        if (numbers[lower] == numbers[taken[n]])
          CHECK(std::find(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(n), lower) !=
                taken.begin() + static_cast<std::ptrdiff_t>(n));
  }

  const Dense& dense_;
  const bool by_norm_;
  const double tolerance_;
  const Lines& lines_;
};

/// What lists are asked for, in turn.
Wanted list_of(std::size_t index) {
  switch (index % 4) {
    case 0:
      return {.words = {"--topk-number", "3"}};
    case 1:
      return {.words = {"--topk-number", "4", "--topk-no-self"}, .most = 4, .no_self = true};
    case 2:
      return {.words = {"--topk-number", "9", "--topk-min", "0.2"}, .most = 9, .minimum = 0.2};
    default:
      return {.words = {"--topk-number", "9", "--topk-mass", "0.7"}, .most = 9, .mass = 0.7};
  }
}

void judge_grid_case(const Dense& dense, const std::string& engine, bool by_norm, std::size_t index) {
  const Words arguments =
      joined(joined(dense.one["arguments"].get<Words>(), {"--engine", engine, "-o", "none", "--threads", "1"}),
             by_norm ? Words{"--by-value-norm"} : Words{});
  const GridJudge judge(dense, by_norm, engine == "reference" ? 1e-6 : 2e-5);
  const auto stats = [&](const std::string& per, const std::string& file) {
    return Words{"--stats-per", per, "--stats-out", file, "--topk-out", "top.csv"};
  };
  const bool is_refused = !by_norm && dense.is_negative();
  Wanted wanted = list_of(index);
  if (is_refused) {
    for (const std::string per : {"row", "head", "pattern"})
      CHECK_THROWS_AS((void)run_inside(joined(arguments, stats(per, "refused.csv"))), Error);
  } else {
    (void)run_inside(joined(joined(arguments, stats("row", "rows.csv")), wanted.words));
    judge.rows();
    judge.strongest_keys(wanted);
    // One of the two for weights, the other for norms: the next normalizer has them the other way round.
    if ((index % 2 == 0) == by_norm) {
      (void)run_inside(joined(arguments, {"--stats-per", "head", "--stats-out", "heads.csv"}));
      judge.heads();
    } else {
      (void)run_inside(joined(arguments, {"--stats-per", "pattern", "--stats-out", "patterns.csv"}));
      judge.patterns();
    }
  }
  // The mass is that of rows.
  if (wanted.mass > 0) wanted = list_of(0);
  (void)run_inside(joined(joined(arguments, joined(stats("column", "columns.csv"), {"--topk-by", "column"})), wanted.words));
  judge.columns();
  judge.strongest_queries(wanted);
}

}  // namespace

TEST_CASE("each score, normalizer and mask: statistics of both engines are those of the oracle's dense weights") {
  const std::string folder = std::string(ATTN_TEST_DATA) + "/statistics/";
  const Json cases = Json::parse(std::ifstream(folder + "grid.json"));
  REQUIRE(cases.size() == 5 * 6 * 16);
  const Array numbers = read_result(folder + "grid.npy");
  const std::vector<double> all(numbers.values<float>().begin(), numbers.values<float>().end());
  const double* next = all.data();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Dense dense(cases[i], next);
    if (is_sanitized && i % 7 != 0) continue;
    const CaseFolder place(cases[i]);
    for (const std::string engine : {"reference", "tiled"}) {
      INFO(cases[i]["name"].get<std::string>(), ", ", engine, ": attn run ", shell_text(cases[i]["arguments"].get<Words>()));
      for (const bool by_norm : {false, true}) judge_grid_case(dense, engine, by_norm, i / 16 + i);
    }
  }
  CHECK(next == all.data() + all.size());
}
