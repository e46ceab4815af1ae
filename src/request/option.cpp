// Reading and showing the values of options.
#include "request/option.hpp"

#include "base/nearest.hpp"

#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::request {

namespace {

template <class T>
bool read_whole(const std::string& text, T& value) {
  const bool has_plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const char* begin = text.data() + (has_plus ? 1 : 0);
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc{} && stop == end;
}

}  // namespace

void unknown_choice(const std::string& option, std::string_view text, const std::vector<std::string>& choices) {
  const std::string near = nearest(text, choices);
  throw Error(Status::usage, fmt::format("{}: '{}' is not one of {}", option, text, fmt::join(choices, ", ")),
              near.empty() ? "" : fmt::format("did you mean {}?", near));
}

void read_value(const std::string& option, const std::string& text, std::string& value) {
  if (text.empty()) throw Error(Status::usage, fmt::format("{} was given an empty value", option));
  value = text;
}

void read_value(const std::string& option, const std::string& text, double& value) {
  if (!read_whole(text, value)) throw Error(Status::usage, fmt::format("{}: '{}' is not a number", option, text));
}

void read_value(const std::string& option, const std::string& text, std::size_t& value) {
  if (!read_whole(text, value)) throw Error(Status::usage, fmt::format("{}: '{}' is not a whole number from 0", option, text));
}

void read_value(const std::string& option, const std::string& text, std::int64_t& value) {
  if (!read_whole(text, value)) throw Error(Status::usage, fmt::format("{}: '{}' is not a whole number", option, text));
}

void read_value(const std::string& option, const std::string& text, char& value) {
  if (text == "\\t" || text == "tab") {
    value = '\t';
  } else if (text == "blank" || text == "space") {
    value = ' ';
  } else if (text.size() == 1) {
    value = text[0];
  } else {
    throw Error(Status::usage, fmt::format("{}: '{}' is not one character (or tab, blank)", option, text));
  }
}

void read_value(const std::string& option, const std::string& text, std::vector<std::string>& value) {
  read_value(option, text, value.emplace_back());
}

std::string to_text(const OptionValue& value) {
  struct Show {
    std::string operator()(std::monostate) const { return {}; }
    std::string operator()(bool on) const { return on ? "on" : ""; }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(const std::vector<std::string>& texts) const { return fmt::format("{}", fmt::join(texts, ",")); }
  };
  return std::visit(Show{}, value);
}

}  // namespace attn::request
