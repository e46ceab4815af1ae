// The option table: each option is one row, from which flags, help, man page, completions, reports and sweeps are derived.
#pragma once

#include <attn/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace attn::request {

/// What a person sees of an option. All text is for people; `name` is the long flag without its dashes.
struct Option {
  std::string name = {};
  char letter = 0;                        ///< the short flag, or 0
  std::string metavar = {};               ///< what stands for the value in help ("F", "N"); empty makes it a switch
  std::string group = {};                 ///< heading in help
  std::string help = {};                  ///< one line
  std::string details = {};               ///< more sentences for the man page and the reference; may be empty
  bool positional = false;                ///< an argument instead of a flag
  bool repeated = false;                  ///< may be given several times
  bool writes = false;                    ///< the file it names is written
  std::vector<std::string> choices = {};  ///< filled by the row for enumerations
  std::string fallback = {};              ///< the default as text; filled by the table

  [[nodiscard]] bool is_switch() const noexcept { return metavar.empty() && choices.empty(); }
  /// Its value is, or may be, the name of a file: "F", "LIST|F", "N|F|end".
  [[nodiscard]] bool is_file() const noexcept {
    return choices.empty() && ("|" + metavar + "|").find("|F|") != std::string::npos;
  }
};

/// The value of an option as reports and sweeps carry it; monostate is "not given".
using OptionValue = std::variant<std::monostate, bool, double, std::int64_t, std::string, std::vector<std::string>>;

/// Names of an enumeration's values on the command line. Specialize with `static constexpr std::array<std::pair<std::string_view,
/// E>, N> list`.
template <class E>
struct Names;

template <class E>
[[nodiscard]] std::string_view name_of(E value) {
  for (const auto& [name, candidate] : Names<E>::list) {
    if (candidate == value) return name;
  }
  return "?";
}

/// Throws Error(usage) naming the nearest of `choices` and all of them.
[[noreturn]] void unknown_choice(const std::string& option, std::string_view text, const std::vector<std::string>& choices);

/// Readers of single values. All throw Error(usage) that names the option and what was expected.
void read_value(const std::string& option, const std::string& text, std::string& value);
void read_value(const std::string& option, const std::string& text, double& value);
void read_value(const std::string& option, const std::string& text, std::size_t& value);
void read_value(const std::string& option, const std::string& text, std::int64_t& value);
void read_value(const std::string& option, const std::string& text, char& value);  ///< one character, or \t, tab
void read_value(const std::string& option, const std::string& text, std::vector<std::string>& value);  ///< appends

template <class E>
  requires std::is_enum_v<E>
void read_value(const std::string& option, const std::string& text, E& value) {
  std::vector<std::string> choices;
  for (const auto& [name, candidate] : Names<E>::list) {
    if (name == text) {
      value = candidate;
      return;
    }
    choices.emplace_back(name);
  }
  unknown_choice(option, text, choices);
}

template <class T>
void read_value(const std::string& option, const std::string& text, std::optional<T>& value) {
  read_value(option, text, value.emplace());
}

[[nodiscard]] inline OptionValue show_value(const std::string& value) {
  return value.empty() ? OptionValue{} : OptionValue{value};
}
[[nodiscard]] inline OptionValue show_value(double value) { return value; }
[[nodiscard]] inline OptionValue show_value(std::size_t value) { return static_cast<std::int64_t>(value); }
[[nodiscard]] inline OptionValue show_value(std::int64_t value) { return value; }
[[nodiscard]] inline OptionValue show_value(char value) { return std::string(1, value); }
[[nodiscard]] inline OptionValue show_value(bool value) { return value; }
[[nodiscard]] inline OptionValue show_value(const std::vector<std::string>& value) {
  return value.empty() ? OptionValue{} : OptionValue{value};
}
template <class E>
  requires std::is_enum_v<E>
[[nodiscard]] OptionValue show_value(E value) {
  return std::string(name_of(value));
}
template <class T>
[[nodiscard]] OptionValue show_value(const std::optional<T>& value) {
  return value ? show_value(*value) : OptionValue{};
}

/// One row: what people see, and how settings of type S take and give the value.
template <class S>
struct Row {
  Option option;
  std::function<void(S&, const std::string&)> set;  ///< switches are set with any text
  std::function<OptionValue(const S&)> get;
};

template <class S>
using Table = std::vector<Row<S>>;

template <class T>
struct Unwrapped {
  using Type = T;
};
template <class T>
struct Unwrapped<std::optional<T>> {
  using Type = T;
};

/// A row for the member that `access` reaches: [](auto& s) -> auto& { return s.member; }. The member's type decides how text is
/// read; bool makes a switch, an enumeration brings its choices.
template <class S, class Access>
[[nodiscard]] Row<S> row(Option option, Access access) {
  using Value = std::remove_reference_t<decltype(access(std::declval<S&>()))>;
  if constexpr (std::is_enum_v<typename Unwrapped<Value>::Type>) {
    for (const auto& entry : Names<typename Unwrapped<Value>::Type>::list) option.choices.emplace_back(entry.first);
  }
  const std::string name = (option.positional ? "" : "--") + option.name;
  Row<S> result;
  result.set = [access, name](S& s, const std::string& text) {
    if constexpr (std::is_same_v<Value, bool>) {
      access(s) = true;
    } else {
      read_value(name, text, access(s));
    }
  };
  result.get = [access](const S& s) { return show_value(access(s)); };
  result.option = std::move(option);
  return result;
}

/// The value as text for help ("1", "scaled"); empty for "not given" and for a switch that is off.
[[nodiscard]] std::string to_text(const OptionValue& value);

/// The options of a table, with their defaults as text taken from default-constructed settings.
template <class S>
[[nodiscard]] std::vector<Option> options_of(const Table<S>& table) {
  std::vector<Option> options;
  const S defaults{};
  for (const Row<S>& r : table) {
    options.push_back(r.option);
    if (options.back().fallback.empty()) options.back().fallback = to_text(r.get(defaults));
  }
  return options;
}

/// Adds the rows of another table for a part of S that `part` reaches.
template <class S, class P, class Part>
void append(Table<S>& table, const Table<P>& rows, Part part) {
  for (const Row<P>& r : rows) {
    table.push_back({r.option, [set = r.set, part](S& s, const std::string& text) { set(part(s), text); },
                     [get = r.get, part](const S& s) { return get(part(s)); }});
  }
}

}  // namespace attn::request
