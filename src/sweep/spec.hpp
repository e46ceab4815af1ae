// What a sweep is asked: the options of its runs, the grid, further cases, what is kept and what it is compared with.
#pragma once

#include "sweep/command.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace attn::sweep {

/// One option with its value as on the command line; several texts for options that may be repeated. Switches have the text
/// "yes" or "no".
struct Setting {
  std::string option;
  std::vector<std::string> texts;
};

/// One option with the values that the grid takes it through.
struct Axis {
  std::string option;
  std::vector<std::vector<std::string>> values;
};

struct Case {
  std::vector<Setting> settings;
  bool is_baseline = false;
};

/// What each run leaves behind.
struct Keep {
  /// Options that name files which are written, and the pattern of the name: "{id}.npy".
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> metrics;
};

/// What every output is compared with: a file, or the output of the case that is the baseline.
struct Compare {
  std::string with;  ///< a file; empty: the baseline
  double rtol = 1e-5;
  double atol = 1e-8;
};

struct Spec {
  const SweepCommand* command = nullptr;
  std::vector<Setting> run;
  std::vector<Axis> grid;
  std::vector<Case> cases;
  Keep keep;
  std::optional<Compare> compare;
};

/// Reads a TOML file. Names of input files are relative to it. Throws Error(data) with line and column for text that is no TOML,
/// and Error(usage), located too, for keys that are unknown (naming the nearest) and values of a wrong kind.
[[nodiscard]] Spec read_spec(const std::string& path);

/// The parts of a specification as they stand on the command line. All throw Error(usage).
/// "score=dot,cosine" or "heads=1..8"; an axis that is there already is replaced.
void add_grid(Spec& spec, const std::string& text);
/// "output={id}.npy", "metrics=entropy,max" or "stats=row".
void add_keep(Spec& spec, const std::string& text);

/// Adds `value` for `option` to what is kept: a pattern of a file, or for "stats" what statistics are of.
void keep_file(Spec& spec, const std::string& option, const std::string& value);
/// Throws Error(usage) naming the nearest metric for one that there is not.
void keep_metric(Spec& spec, const std::string& metric);

/// "1..8" as its numbers; any other text as itself.
[[nodiscard]] std::vector<std::string> expand_range(const std::string& text);
/// Refuses options that a sweep decides itself, and files that are written. `where` stands in messages: "[grid]".
void check_setting(const Option& option, const std::string& where);
/// "yes" or "no" from the words people use; throws Error(usage).
[[nodiscard]] std::string read_switch(const std::string& option, const std::string& text);

}  // namespace attn::sweep
