// Reading and showing --rope-scaling.
#include "request/run_request.hpp"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace attn {

namespace {

/// A kind, and which numbers follow it, in their order.
struct ScalingForm {
  std::string_view name;
  RopeScaling::Kind kind;
  std::string_view shown;
  std::vector<double RopeScaling::*> numbers;
};

const std::array<ScalingForm, 5>& forms() {
  using Kind = RopeScaling::Kind;
  using S = RopeScaling;
  static const std::array<ScalingForm, 5> all{{
      {"none", Kind::none, "none", {}},
      {"linear", Kind::linear, "linear:FACTOR", {&S::factor}},
      {"ntk", Kind::ntk, "ntk:FACTOR", {&S::factor}},
      {"dynamic", Kind::dynamic, "dynamic:FACTOR:LENGTH", {&S::factor, &S::length}},
      {"llama3", Kind::llama3, "llama3:FACTOR:LOW:HIGH:LENGTH", {&S::factor, &S::low, &S::high, &S::length}},
  }};
  return all;
}

/// The pieces between colons; at least one.
std::vector<std::string> pieces_of(const std::string& text) {
  std::vector<std::string> pieces(1);
  for (const char c : text) {
    if (c == ':')
      pieces.emplace_back();
    else
      pieces.back() += c;
  }
  return pieces;
}

}  // namespace

void read_value(const std::string& option, const std::string& text, RopeScaling& value) {
  const std::vector<std::string> pieces = pieces_of(text);
  std::vector<std::string> names;
  for (const ScalingForm& form : forms()) {
    names.emplace_back(form.name);
    if (form.name != pieces.front()) continue;
    if (pieces.size() != form.numbers.size() + 1)
      throw Error(Status::usage, fmt::format("{}: '{}' is not {}", option, text, form.shown));
    value = {.kind = form.kind};
    for (std::size_t i = 0; i < form.numbers.size(); ++i) request::read_value(option, pieces[i + 1], value.*form.numbers[i]);
    return;
  }
  request::unknown_choice(option, pieces.front(), names);
}

request::OptionValue show_value(const RopeScaling& value) {
  for (const ScalingForm& form : forms()) {
    if (form.kind != value.kind) continue;
    std::string text(form.name);
    for (const auto number : form.numbers) text += fmt::format(":{}", value.*number);
    return text;
  }
  return {};
}

}  // namespace attn
