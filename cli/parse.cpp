// From arguments to calls of option setters, by CLI11 fed from the option table.
#include "base/nearest.hpp"
#include "cli/command.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace attn::cli {

namespace {

std::string flags_of(const Option& option) {
  if (option.positional) return option.name;
  return option.letter == 0 ? "--" + option.name : fmt::format("-{},--{}", option.letter, option.name);
}

[[noreturn]] void unknown_argument(const CommandInfo& info, const std::vector<Option>& options, const std::string& argument,
                                   bool may_be_flag) {
  if (!may_be_flag || argument.size() < 2 || argument[0] != '-')
    throw Error(Status::usage, fmt::format("unexpected argument '{}'", argument), "usage: " + info.usage);
  const std::string flag = argument.substr(0, argument.find('='));
  std::vector<std::string> known;
  for (const Option& option : options) {
    if (!option.positional) known.push_back("--" + option.name);
  }
  const std::string near = nearest(flag, known);
  throw Error(Status::usage, fmt::format("attn {} has no option {}", info.name, flag),
              near.empty() ? fmt::format("attn {} --help lists them", info.name) : fmt::format("did you mean {}?", near));
}

/// `--causal=false` would switch it on.
void refuse_switch_values(const std::vector<Option>& options, const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return;
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) continue;
    const std::string flag = argument.substr(0, equals);
    for (const Option& option : options)
      if (option.is_switch() && flag == "--" + option.name)
        throw Error(Status::usage, fmt::format("{} takes no value: '{}'", flag, argument),
                    fmt::format("{} alone switches it on; it is off where it is left out", flag));
  }
}

}  // namespace

void parse_arguments(const CommandInfo& info, const std::vector<Option>& options, const std::vector<std::string>& arguments,
                     const std::function<void(std::size_t, const std::string&)>& set) {
  refuse_switch_values(options, arguments);
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::vector<std::string>> values(options.size());
  std::vector<CLI::Option*> switches(options.size(), nullptr);
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i].is_switch()) {
      switches[i] = app.add_flag(flags_of(options[i]));
      continue;
    }
    CLI::Option* option = app.add_option(flags_of(options[i]), values[i]);
    // The last of several wins, so that an alias can be overruled; lists take all.
    if (options[i].repeated) {
      option->expected(options[i].positional ? -1 : 1)->take_all()->allow_extra_args(options[i].positional);
    } else {
      option->expected(1)->take_last()->allow_extra_args(false);
    }
  }
  try {
    // CLI11 takes its arguments from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ArgumentMismatch& mismatch) {
    const std::string what = mismatch.what();
    throw Error(Status::usage, fmt::format("{} needs a value", what.substr(0, what.find(':'))),
                fmt::format("attn {} --help says what", info.name));
  } catch (const CLI::ParseError& error) {
    throw Error(Status::usage, error.what(), fmt::format("attn {} --help lists the options", info.name));
  }
  std::vector<std::string> rest = app.remaining();
  // CLI11 also hands back the -- that ends the flags; what follows it is no flag, whatever it looks like.
  const auto mark = std::find(rest.begin(), rest.end(), "--");
  const bool flags_ended = mark == rest.begin() && mark != rest.end();
  if (mark != rest.end()) rest.erase(mark);
  if (!rest.empty()) unknown_argument(info, options, rest.front(), !flags_ended);
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (switches[i] != nullptr) {
      if (switches[i]->count() > 0) set(i, "");
    } else {
      for (const std::string& text : values[i]) set(i, text);
    }
  }
}

}  // namespace attn::cli
