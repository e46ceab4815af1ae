// The specification of a sweep as a TOML file.
#include "base/nearest.hpp"
#include "io/input.hpp"
#include "sweep/spec.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

namespace attn::sweep {

namespace {

constexpr std::string_view kKindsOfValues = "a text, a number, or true or false";

class Reader {
 public:
  Reader(std::string path, const toml::table& document)
      : path_(std::move(path)), folder_(std::filesystem::path(path_).parent_path().string()), document_(document) {}

  Spec read() {
    check_keys(document_, "this file", {"run", "grid", "case", "keep", "compare"});
    read_run();
    if (const toml::table* grid = table("grid")) read_grid(*grid);
    read_cases();
    if (const toml::table* keep = table("keep")) read_keep(*keep);
    if (const toml::table* compare = table("compare")) read_compare(*compare);
    return std::move(spec_);
  }

 private:
  [[noreturn]] void fail(const toml::source_region& at, const std::string& message, const std::string& hint = {}) const {
    throw Error(Status::usage, {.file = path_, .line = at.begin.line, .column = at.begin.column}, message, hint);
  }

  /// Runs `body`; what it throws without a place gets the place of `at`.
  template <class Body>
  decltype(auto) at(const toml::source_region& where, Body body) const {
    try {
      return body();
    } catch (const Error& error) {
      if (!error.where().file.empty()) throw;
      throw Error(error.status(), {.file = path_, .line = where.begin.line, .column = where.begin.column}, error.what(),
                  error.hint());
    }
  }

  void check_keys(const toml::table& in, const std::string& where, const std::vector<std::string>& known) const {
    for (const auto& [key, node] : in) {
      const std::string name(key.str());
      if (std::ranges::find(known, name) != known.end()) continue;
      const std::string near = nearest(name, known);
      fail(key.source(), fmt::format("{} has no key '{}' (expected {})", where, name, fmt::join(known, ", ")),
           near.empty() ? "" : fmt::format("did you mean {}?", near));
    }
  }

  const toml::table* table(const char* name) const {
    const toml::node* node = document_.get(name);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) fail(node->source(), fmt::format("'{}' is a table: [{}]", name, name));
    return node->as_table();
  }

  std::string text(const std::string& key, const toml::node& node) const {
    if (const auto* value = node.as_string()) return value->get();
    if (const auto* value = node.as_integer()) return std::to_string(value->get());
    if (const auto* value = node.as_floating_point()) return fmt::format("{}", value->get());
    if (const auto* value = node.as_boolean()) return value->get() ? "yes" : "no";
    fail(node.source(), fmt::format("{}: expected {}", key, kKindsOfValues));
  }

  /// The name of an input file as the program finds it. What may be numbers is a file only where there is one.
  std::string input_file(const Option& option, const std::string& value, const toml::source_region& where) const {
    if (value == "-")
      fail(where, fmt::format("{}: a sweep reads its inputs more than once, and standard input cannot be", option.name));
    if (folder_.empty() || value.empty() || value.front() == '/') return value;
    std::string joined = folder_ + "/" + value;
    const bool may_be_numbers = option.metavar != "F";
    if (may_be_numbers && !std::filesystem::exists(FileName::parse(joined).path)) return value;
    return joined;
  }

  std::string option_value(const Option& option, const toml::node& node) const {
    const std::string value = text(option.name, node);
    return at(node.source(), [&] {
      if (option.is_switch()) return read_switch(option.name, value);
      return option.is_file() ? input_file(option, value, node.source()) : value;
    });
  }

  const Option& find_option(const toml::key& key, const char* where) const {
    return at(key.source(), [&]() -> const Option& {
      const Option& option = spec_.command->options[spec_.command->find(std::string(key.str()))];
      check_setting(option, where);
      return option;
    });
  }

  /// Keys and values in the order of the file, which a table of toml++ does not keep.
  static std::vector<std::pair<const toml::key*, const toml::node*>> in_order(const toml::table& from) {
    std::vector<std::pair<const toml::key*, const toml::node*>> all;
    for (const auto& [key, node] : from) all.emplace_back(&key, &node);
    const auto place = [](const auto& entry) {
      const toml::source_position& begin = entry.first->source().begin;
      return std::pair(begin.line, begin.column);
    };
    std::ranges::sort(all, {}, place);
    return all;
  }

  /// Texts of one value: an array only where an option may be given several times.
  std::vector<std::string> option_values(const Option& option, const toml::node& node) const {
    if (!node.is_array()) return {option_value(option, node)};
    if (!option.repeated) fail(node.source(), fmt::format("{} takes one value (several stand in [grid])", option.name));
    std::vector<std::string> texts;
    for (const toml::node& element : *node.as_array()) texts.push_back(option_value(option, element));
    return texts;
  }

  std::vector<Setting> settings(const toml::table& from, const char* where,
                                std::initializer_list<std::string_view> others) const {
    std::vector<Setting> all;
    for (const auto& [key, node] : in_order(from)) {
      if (std::ranges::find(others, key->str()) != others.end()) continue;
      const Option& option = find_option(*key, where);
      all.push_back({.option = option.name, .texts = option_values(option, *node)});
    }
    return all;
  }

  void read_run() {
    const toml::table* run = table("run");
    const toml::node* command = run == nullptr ? nullptr : run->get("command");
    if (command == nullptr) {
      spec_.command = &find_sweep_command("run");
    } else {
      if (!command->is_string()) fail(command->source(), "command: expected the name of a command");
      spec_.command = at(command->source(), [&] { return &find_sweep_command(command->as_string()->get()); });
    }
    if (run != nullptr) spec_.run = settings(*run, "[run]", {"command"});
  }

  void read_grid(const toml::table& grid) {
    for (const auto& [key, node] : in_order(grid)) {
      const Option& option = find_option(*key, "[grid]");
      Axis axis{.option = option.name, .values = {}};
      const auto add = [&](const toml::node& element) {
        if (element.is_array() && option.repeated) {
          axis.values.push_back(option_values(option, element));
          return;
        }
        const std::string value = option_value(option, element);
        for (std::string& one : at(element.source(), [&] { return expand_range(value); }))
          axis.values.push_back({std::move(one)});
      };
      if (node->is_array()) {
        for (const toml::node& element : *node->as_array()) add(element);
      } else {
        add(*node);
      }
      if (axis.values.empty()) fail(node->source(), fmt::format("{}: an empty list leaves no run", option.name));
      spec_.grid.push_back(std::move(axis));
    }
  }

  void read_cases() {
    const toml::node* cases = document_.get("case");
    if (cases == nullptr) return;
    if (!cases->is_array_of_tables()) fail(cases->source(), "cases are tables of a list: [[case]]");
    for (const toml::node& node : *cases->as_array()) {
      const toml::table& from = *node.as_table();
      Case one{.settings = settings(from, "[[case]]", {"baseline"}), .is_baseline = false};
      if (const toml::node* baseline = from.get("baseline")) {
        if (!baseline->is_boolean()) fail(baseline->source(), "baseline: expected true or false");
        one.is_baseline = baseline->as_boolean()->get();
        const bool twice = one.is_baseline && std::ranges::find(spec_.cases, true, &Case::is_baseline) != spec_.cases.end();
        if (twice) fail(baseline->source(), "there are two baselines (expected one case that is)");
      }
      spec_.cases.push_back(std::move(one));
    }
  }

  void read_keep(const toml::table& keep) {
    for (const auto& [key, node] : keep) {
      const std::string name(key.str());
      if (name == "metrics") {
        if (!node.is_array()) fail(node.source(), "metrics: expected a list of names");
        for (const toml::node& metric : *node.as_array()) at(metric.source(), [&] { keep_metric(spec_, text(name, metric)); });
        continue;
      }
      if (!node.is_string()) fail(node.source(), fmt::format("{}: expected a name with {{id}} in it", name));
      at(key.source(), [&] { keep_file(spec_, name, node.as_string()->get()); });
    }
  }

  void read_compare(const toml::table& from) {
    check_keys(from, "[compare]", {"with", "rtol", "atol"});
    Compare compare;
    if (const toml::node* with = from.get("with")) {
      if (!with->is_string()) fail(with->source(), "with: expected the name of a file");
      compare.with = input_file({.name = "with", .metavar = "F"}, with->as_string()->get(), with->source());
    }
    const auto read_number = [&](const char* name, double& number) {
      const toml::node* node = from.get(name);
      if (node == nullptr) return;
      if (!node->is_number()) fail(node->source(), fmt::format("{}: expected a number", name));
      number = node->value<double>().value_or(0);
      if (!(number >= 0)) fail(node->source(), fmt::format("{}: expected a number from 0", name));
    };
    read_number("rtol", compare.rtol);
    read_number("atol", compare.atol);
    spec_.compare = compare;
  }

  std::string path_;
  std::string folder_;
  const toml::table& document_;
  Spec spec_;
};

}  // namespace

Spec read_spec(const std::string& path) {
  const Input input = open_input(path);
  try {
    const toml::table document = toml::parse(input.text(), path);
    return Reader(path, document).read();
  } catch (const toml::parse_error& error) {
    throw Error(Status::data, {.file = path, .line = error.source().begin.line, .column = error.source().begin.column},
                fmt::format("this is no TOML: {}", error.description()));
  }
}

}  // namespace attn::sweep
