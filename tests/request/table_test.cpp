// The option table of attn run: every row is complete, reads what it shows, and the contract's flags are all there.
#include "request/run_request.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::request;

const Row<RunRequest>& row_of(const std::string& name) {
  const auto found = std::ranges::find_if(run_table(), [&](const auto& row) { return row.option.name == name; });
  REQUIRE_MESSAGE(found != run_table().end(), name);
  return *found;
}

std::string shown(const Row<RunRequest>& row, const RunRequest& request) { return to_text(row.get(request)); }

/// The text an option shows after it was given `text`.
std::string after(const std::string& name, const std::string& text) {
  RunRequest request;
  row_of(name).set(request, text);
  return shown(row_of(name), request);
}

Status refused(const std::string& name, const std::string& text) {
  try {
    (void)after(name, text);
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).find("--" + name) == 0);
    return error.status();
  }
  return Status::ok;
}

}  // namespace

TEST_CASE("every row is complete") {
  std::set<std::string> names;
  std::set<char> letters;
  for (const Option& option : options_of(run_table())) {
    INFO(option.name);
    CHECK(names.insert(option.name).second);
    if (option.letter != 0) CHECK(letters.insert(option.letter).second);
    CHECK_FALSE(option.help.empty());
    CHECK_FALSE(option.group.empty());
    CHECK(option.help.find('\n') == std::string::npos);
    CHECK(option.help.back() != '.');
    CHECK(option.name.find('_') == std::string::npos);
    // What takes a value says what stands for it.
    if (!option.choices.empty()) CHECK_FALSE(option.metavar.empty());
    CHECK_EQ(std::set<std::string>(option.choices.begin(), option.choices.end()).size(), option.choices.size());
  }
}

TEST_CASE("the flags of the contract are in the table") {
  for (const char* name :
       {"query",         "key",      "value",      "output",       "weights",       "scores",     "lse",          "scores-stage",
        "weights-form",  "score",    "scale",      "temperature",  "softcap",       "normalize",  "combine",      "mask",
        "mask-type",     "causal",   "window",     "query-offset", "key-lengths",   "segments",   "key-segments", "bias",
        "alibi",         "rope",     "rope-base",  "rope-dim",     "rope-scaling",  "heads",      "kv-heads",     "params",
        "params-prefix", "past-key", "past-value", "present-key",  "present-value", "residual",   "empty-rows",   "zero-vectors",
        "ids",           "key-ids",  "dtype",      "engine",       "threads",       "max-memory", "dry-run",      "report",
        "from",          "to",       "delimiter",  "header",       "nan",           "quiet"})
    (void)row_of(name);
  CHECK_EQ(row_of("query").option.letter, 'q');
  CHECK_EQ(row_of("key").option.letter, 'k');
  CHECK_EQ(row_of("value").option.letter, 'v');
  CHECK_EQ(row_of("output").option.letter, 'o');
}

TEST_CASE("the defaults are the contract's") {
  const std::map<std::string, std::string> defaults{
      {"output", "-"},          {"scores-stage", "raw"}, {"weights-form", "wide"}, {"score", "scaled"}, {"scale", ""},
      {"temperature", "1"},     {"softcap", "0"},        {"normalize", "softmax"}, {"combine", "sum"},  {"mask-type", "auto"},
      {"causal", ""},           {"window", ""},          {"rope", "none"},         {"rope-dim", "0"},   {"empty-rows", "zero"},
      {"zero-vectors", "zero"}, {"dtype", "auto"},       {"engine", "auto"},       {"query-offset", ""}};
  for (const auto& [name, text] : defaults) {
    INFO(name);
    CHECK_EQ(shown(row_of(name), {}), text);
  }
  // Without a default of its own: config.json may have one.
  CHECK_EQ(shown(row_of("rope-base"), {}), "");
  CHECK_EQ(row_of("rope-base").option.fallback, "10000");
  CHECK_EQ(RunRequest{}.attention_options().rope_base, 10000);
}

TEST_CASE("what a row shows it reads back") {
  for (const Row<RunRequest>& row : run_table()) {
    INFO(row.option.name);
    const RunRequest defaults;
    const std::string fallback = shown(row, defaults);
    if (!row.option.is_switch() && !fallback.empty()) CHECK_EQ(after(row.option.name, fallback), fallback);
    for (const std::string& choice : row.option.choices) CHECK_EQ(after(row.option.name, choice), choice);
    if (row.option.is_switch()) CHECK_EQ(after(row.option.name, ""), "on");
    if (!row.option.choices.empty()) CHECK(refused(row.option.name, "no-such-choice") == Status::usage);
  }
  CHECK_EQ(after("scale", "0.125"), "0.125");
  CHECK_EQ(after("scale", "-1e-3"), "-0.001");
  CHECK_EQ(after("threads", "7"), "7");
  CHECK_EQ(after("window", "3:"), "3:");
  CHECK_EQ(after("window", ":0"), ":0");
  CHECK_EQ(after("window", "128:4"), "128:4");
  CHECK_EQ(after("delimiter", "tab"), "\t");
  CHECK_EQ(after("query", "a file.csv:1..3"), "a file.csv:1..3");
}

TEST_CASE("sizes have units of 1024") {
  CHECK_EQ(after("max-memory", "640"), "640");
  CHECK_EQ(after("max-memory", "2K"), "2048");
  CHECK_EQ(after("max-memory", "1.5M"), "1572864");
  CHECK_EQ(after("max-memory", "2G"), "2147483648");
  CHECK_EQ(after("max-memory", "1GiB"), "1073741824");
  CHECK_EQ(after("max-memory", "1TB"), "1099511627776");
  for (const std::string text : {"", "G", "1Q", "1..5G", "-1G", "1 G", "1e30", "999999999T", "1GG", "nan"}) {
    INFO(text);
    CHECK(refused("max-memory", text) == Status::usage);
  }
}

TEST_CASE("what is no value of an option is refused by name") {
  for (const std::string text : {"", "x", "1x", "1,5", "0x1p-3", "--1", "+-1"}) {
    INFO(text);
    CHECK(refused("temperature", text) == Status::usage);
  }
  for (const std::string text : {"", "-1", "1.0", "99999999999999999999", "two"}) {
    INFO(text);
    CHECK(refused("heads", text) == Status::usage);
  }
  for (const std::string text : {"", "3", "a:b", "1:2:3", "1.5:"}) {
    INFO(text);
    CHECK(refused("window", text) == Status::usage);
  }
  CHECK(refused("delimiter", "ab") == Status::usage);
  CHECK(refused("output", "") == Status::usage);
}
