// Statistics and strongest pairs of attn run against the oracle's dense weights; tests/data/make_statistics_cases.py drew them.
#include "conformance/case_folder.hpp"
#include "conformance/command.hpp"
#include "conformance/number_table.hpp"
#include "request/look.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;

const Json& cases() {
  static const Json all = Json::parse(std::ifstream(std::string(ATTN_TEST_DATA) + "/statistics/cases.json"));
  return all;
}

/// How far a statistic may be off, of 1 and of its own size. Column sums and distances add up a few hundred float32 weights.
double tolerance_of(const std::string& engine, bool is_double) {
  if (is_double) return 1e-12;
  return engine == "reference" ? 1e-6 : 2e-5;
}

std::map<std::string, double>& worst() {
  static std::map<std::string, double> seen;
  return seen;
}

class Judge {
 public:
  Judge(const Json& one, const std::string& engine)
      : one_(one), kind_(engine + (one["double"] ? " float64 " : " float32 ")), tolerance_(tolerance_of(engine, one["double"])) {}

  void near(const char* what, double got, double expected) const {
    const double error = std::abs(got - expected) / std::max(1.0, std::abs(expected));
    INFO(what, ": got ", got, ", expected ", expected);
    CHECK(error <= tolerance_);
    double& known = worst()[kind_ + what];
    known = std::max(known, error);
  }

  /// The largest weight, and its place where it stands out from the second.
  void largest(const NumberTable& table, std::size_t line, std::size_t column, const Json& facts) const {
    near("max", table.at(line, column), facts[0]);
    const double gap = facts[0].get<double>() - facts[2].get<double>();
    if (gap > 1e-3 * std::max(1e-3, std::abs(facts[0].get<double>())))
      CHECK_EQ(table.index(line, column + 1), facts[1].get<std::size_t>());
  }

  /// What a file of rows says against the lines `name` of the case.
  void rows(const char* name = "rows") const {
    const NumberTable table("rows.csv");
    REQUIRE_EQ(table.rows(), lengths(0) * lengths(1));
    for (const Json& row : one_[name]) {
      const auto r = row[0].get<std::size_t>();
      INFO("row ", r);
      CHECK_EQ(table.index(r, 2), r % lengths(1));
      near("entropy", table.at(r, 3), row[1]);
      CHECK(std::abs(table.at(r, 4) - std::exp(table.at(r, 3))) <= 1e-5 * table.at(r, 4));
      near("distance", table.at(r, 7), row[2]);
      largest(table, r, 5, {row[3], row[4], row[5]});
    }
  }

  void columns(const char* name = "columns") const {
    const NumberTable table("columns.csv");
    REQUIRE_EQ(table.rows(), lengths(0) * lengths(2));
    for (const Json& column : one_[name]) {
      const auto c = column[0].get<std::size_t>();
      INFO("column ", c);
      CHECK_EQ(table.index(c, 2), c % lengths(2));
      near("received", table.at(c, 3), column[1]);
      // Where weights may be negative, the 0 of a masked pair may be the dense matrix's largest number; here it is absent.
      if (one_["normalizer"] != "none" || column[2].get<double>() > 0) largest(table, c, 4, {column[2], column[3], column[4]});
    }
  }

  /// The scores of heads against `name` of the case.
  void patterns(const char* name) const {
    std::ifstream file("patterns.csv");
    std::string line;
    std::getline(file, line);
    for (const Json& head : one_[name]) {
      REQUIRE(std::getline(file, line));
      if (head.is_null()) continue;
      std::vector<std::string> cells;
      std::stringstream text(line);
      for (std::string cell; std::getline(text, cell, ',');) cells.push_back(cell);
      REQUIRE_EQ(cells.size(), 9);
      for (std::size_t i = 0; i < 5; ++i) near("pattern", std::stod(cells[4 + i]), head[i]);
      const std::map<std::string, std::size_t> places{{"previous", 4}, {"first", 5}, {"self", 6}, {"band", 7}, {"uniform", 8}};
      // "mixed" is scored by the sharpest.
      const std::string sharpest = std::to_string(std::max({std::stod(cells[4]), std::stod(cells[5]), std::stod(cells[6])}));
      CHECK_EQ(std::to_string(std::stod(cells[3])),
               cells[2] == "mixed" ? sharpest : std::to_string(std::stod(cells[places.at(cells[2])])));
    }
  }

  /// The strongest of lines `name`, whose length is lengths(side); the other side's numbers stand in `other`.
  void strongest(const char* file, const char* name, std::size_t side, std::size_t own, std::size_t other) const {
    const NumberTable table(file);
    std::map<std::size_t, std::vector<std::size_t>> lines;
    const std::size_t heads = heads_of(table);
    for (std::size_t r = 0; r < table.rows(); ++r) {
      auto& line = lines[(table.index(r, 0) * heads + table.index(r, 1)) * lengths(side) + table.index(r, own)];
      line.push_back(r);
      CHECK_EQ(table.index(r, 3), line.size());
    }
    for (const Json& expected : one_[name]) {
      INFO(name, " ", expected[0].get<std::size_t>());
      const auto& line = lines[expected[0].get<std::size_t>()];
      const Json& top = expected.back();
      for (std::size_t n = 0; n < top.size(); ++n) {
        const double weight = top[n][1];
        // Weights that float32 takes for 0 are not listed.
        if (std::abs(weight) <= tolerance_ && n >= line.size()) continue;
        REQUIRE(n < line.size());
        near("weight", table.at(line[n], 5), weight);
        const auto apart = [&](std::size_t m) {
          return m >= top.size() || std::abs(top[m][1].get<double>() - weight) > 1e-3 * std::max(1e-3, std::abs(weight));
        };
        const bool last_is_sure = n + 1 < top.size() || top.size() < 3;
        if ((n == 0 || apart(n - 1)) && apart(n + 1) && last_is_sure)
          CHECK_EQ(table.index(line[n], other), top[n][0].get<std::size_t>());
      }
    }
  }

 private:
  [[nodiscard]] std::size_t lengths(std::size_t i) const { return one_["lengths"][i]; }
  /// Heads of one batch entry, as far as the table shows them.
  static std::size_t heads_of(const NumberTable& table) {
    std::size_t heads = 1;
    for (std::size_t r = 0; r < table.rows(); ++r) heads = std::max(heads, table.index(r, 1) + 1);
    return heads;
  }

  const Json& one_;
  const std::string kind_;
  const double tolerance_;
};

Words with(const Json& one, const std::string& engine, const Words& more) {
  return joined(joined(one["arguments"].get<Words>(), {"--engine", engine, "-o", "none"}), more);
}

void judge_rows(const Json& one, const std::string& engine) {
  const Words words = with(one, engine, {"--stats-out", "rows.csv", "--topk-out", "top.csv", "--topk-number", "3"});
  if (one["negative"]) {
    CHECK_THROWS_AS((void)run_inside(words), Error);
    return;
  }
  (void)run_inside(words);
  const Judge judge(one, engine);
  judge.rows();
  if (one["normalizer"] != "none") judge.strongest("top.csv", "rows", 1, 2, 4);
}

void judge_columns(const Json& one, const std::string& engine) {
  (void)run_inside(with(one, engine,
                        {"--stats-out", "columns.csv", "--stats-per", "column", "--topk-out", "top.csv", "--topk-by", "column",
                         "--topk-number", "3"}));
  const Judge judge(one, engine);
  judge.columns();
  if (one["normalizer"] != "none") judge.strongest("top.csv", "columns", 2, 4, 2);
}

void judge_patterns(const Json& one, const std::string& engine) {
  const Judge judge(one, engine);
  const Words asked{"--stats-out", "patterns.csv", "--stats-per", "pattern"};
  if (!one["negative"]) {
    (void)run_inside(with(one, engine, asked));
    judge.patterns("patterns");
  }
  (void)run_inside(with(one, engine, joined(asked, {"--by-value-norm"})));
  judge.patterns("norm_patterns");
}

/// By norms nothing is negative, whatever the normalizer.
void judge_norms(const Json& one, const std::string& engine) {
  const Judge judge(one, engine);
  (void)run_inside(
      with(one, engine, {"--stats-out", "rows.csv", "--topk-out", "top.csv", "--topk-number", "3", "--by-value-norm"}));
  judge.rows("norm_rows");
  judge.strongest("top.csv", "norm_rows", 1, 2, 4);
  (void)run_inside(with(one, engine,
                        {"--stats-out", "columns.csv", "--stats-per", "column", "--topk-out", "top.csv", "--topk-by", "column",
                         "--topk-number", "3", "--by-value-norm"}));
  judge.columns("norm_columns");
  judge.strongest("top.csv", "norm_columns", 2, 4, 2);
}

/// attn stats or attn topk on a file of weights.
void look_at(const std::string& weights, const std::string& offset, const std::string& per, bool is_topk,
             const std::string& values = "", std::size_t kv_heads = 0) {
  request::LookRequest r;
  r.value = values;
  r.kv_heads = kv_heads;
  r.watch.by_value_norm = !values.empty();
  r.from_weights = {weights};
  r.query_offset = offset;
  Listener listener;
  const request::RunContext context{.reporter = listener, .print = [](std::string_view) {}, .progress = {}, .cancelled = nullptr};
  r.output = is_topk ? "top.csv" : per + "s.csv";
  if (per == "column") {
    r.watch.per = request::StatsPer::column;
    r.watch.by = request::TopBy::column;
  }
  r.watch.count = 3;
  if (is_topk)
    request::topk(r, context);
  else
    request::stats(r, context, false);
}

/// The value of an option among the words, or nothing.
std::string value_of(const Words& words, const std::string& option) {
  const auto found = std::ranges::find(words, option);
  return found == words.end() ? std::string() : *std::next(found);
}

}  // namespace

TEST_CASE("statistics of both engines agree with the oracle's dense weights") {
  REQUIRE(cases().size() >= 200);
  const std::size_t step = is_sanitized ? 4 : 1;
  for (std::size_t i = 0; i < cases().size(); i += step) {
    const Json& one = cases()[i];
    const CaseFolder folder(one);
    INFO("case ", one["name"].get<std::string>(), ": attn run ", shell_text(one["arguments"].get<Words>()));
    for (const std::string engine : {"reference", "tiled"}) {
      INFO(engine);
      judge_rows(one, engine);
      judge_columns(one, engine);
      judge_norms(one, engine);
      judge_patterns(one, engine);
    }
  }
  for (const auto& [what, error] : worst()) MESSAGE(fmt::format("{}: largest error {:.2g}", what, error));
}

TEST_CASE("statistics have the same bytes on any number of threads, and leave the output as it is") {
  const std::size_t step = is_sanitized ? 20 : 5;
  for (std::size_t i = 2; i < cases().size(); i += step) {
    const Json& one = cases()[i];
    if (one["negative"]) continue;
    const CaseFolder folder(one);
    const auto arguments = one["arguments"].get<Words>();
    INFO("case ", one["name"].get<std::string>(), ": attn run ", shell_text(arguments));
    (void)run_inside(joined(arguments, {"-o", "alone.npy", "--threads", "1"}));
    std::map<std::string, std::string> seen;
    for (const std::string threads : {"1", "2", "5"}) {
      for (const std::string per : {"row", "column", "row norm", "column norm"}) {
        const bool by_norm = per.ends_with("norm");
        const std::string side = per.substr(0, per.find(' '));
        (void)run_inside(joined(joined(arguments, {"-o", "output.npy", "--stats-out", "stats.csv", "--stats-per", side,
                                                   "--topk-out", "top.csv", "--topk-by", side, "--threads", threads}),
                                by_norm ? Words{"--by-value-norm"} : Words{}));
        CHECK(read_file("output.npy") == read_file("alone.npy"));
        for (const std::string file : {"stats.csv", "top.csv"}) {
          const auto [entry, is_new] = seen.emplace(per + file, read_file(file));
          INFO(per, " ", file, " with ", threads, " threads");
          if (!is_new) CHECK(entry->second == read_file(file));
        }
      }
    }
  }
}

TEST_CASE("weights in a file say what the oracle's dense weights say, on any number of threads") {
  std::size_t judged = 0;
  std::size_t judged_by_norm = 0;
  for (std::size_t i = 0; i < cases().size(); i += is_sanitized ? 12 : 2) {
    const Json& one = cases()[i];
    const auto arguments = one["arguments"].get<Words>();
    const std::string offset = value_of(arguments, "--query-offset");
    const bool is_number = offset.find_first_not_of("-0123456789") == std::string::npos;
    // Only the numbers of the file are known here: those of a cache, a list or a file of offsets are not.
    if (one["negative"] || !is_number || !value_of(arguments, "--past-key").empty()) continue;
    ++judged;
    const CaseFolder folder(one);
    INFO("case ", one["name"].get<std::string>(), ": attn run ", shell_text(arguments));
    (void)run_inside(joined(arguments, {"--engine", "reference", "-o", "none", "--weights", "weights.npy"}));
    const Judge judge(one, "reference");
    look_at("weights.npy", offset, "row", false);
    look_at("weights.npy", offset, "column", false);
    judge.rows();
    judge.columns();
    // A file without an axis for batch entries has their heads in one row of numbers.
    look_at("weights.npy", offset, "row", true);
    if (one["normalizer"] != "none") judge.strongest("top.csv", "rows", 1, 2, 4);
    look_at("weights.npy", offset, "column", true);
    if (one["normalizer"] != "none") judge.strongest("top.csv", "columns", 2, 4, 2);
    const std::string values = value_of(arguments, "-v");
    if (values.empty()) continue;
    ++judged_by_norm;
    const std::string heads = value_of(arguments, value_of(arguments, "--kv-heads").empty() ? "--heads" : "--kv-heads");
    const std::size_t packed = heads.empty() ? 0 : std::stoul(heads);
    look_at("weights.npy", offset, "row", false, values, packed);
    look_at("weights.npy", offset, "column", false, values, packed);
    judge.rows("norm_rows");
    judge.columns("norm_columns");
    look_at("weights.npy", offset, "row", true, values, packed);
    judge.strongest("top.csv", "norm_rows", 1, 2, 4);
  }
  CHECK(judged >= (is_sanitized ? 8 : 50));
  CHECK(judged_by_norm >= (is_sanitized ? 5 : 40));
}
