// The table of methods, and reading their names and settings.
#include "approx/method.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::approx {

namespace {

/// "window:REACH:GLOBALS".
std::string form_of(const Method& method) {
  std::string form(method.name);
  for (const Parameter& p : method.parameters) form += fmt::format("[:{}]", p.name);
  return form;
}

const Method& find(const std::string& option, std::string_view name) {
  const auto all = methods();
  const auto found = std::ranges::find(all, name, [](const Method* m) { return m->name; });
  if (found != all.end()) return **found;
  std::vector<std::string_view> names;
  for (const Method* m : all) names.push_back(m->name);
  throw Error(Status::usage, fmt::format("{}: there is no method '{}' (there are {})", option, name, fmt::join(names, ", ")));
}

double read_number(const std::string& option, const Method& method, const Parameter& p, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
  if (is_number && value >= p.least && value <= p.most && (!p.is_whole || value == std::floor(value))) return value;
  throw Error(Status::usage,
              fmt::format("{}: '{}' is no {} of {} (expected {} from {} to {})", option, text, p.name, method.name,
                          p.is_whole ? "a whole number" : "a number", p.least, p.most),
              fmt::format("{}: {}", form_of(method), p.meaning));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace

std::span<const Method* const> methods() {
  static const std::array table{&window_method(),  &block_method(), &linear_method(), &features_method(),
                                &nystrom_method(), &pool_method(),  &heads_method(),  &int8_method(),
                                &bf16_method(),    &split_method(), &mass_method(),   &topk_method()};
  return table;
}

std::string setting_text(const Setting& setting) { return fmt::format("{}", fmt::join(setting, ":")); }

std::string Choice::text() const {
  const std::string numbers = setting_text(setting);
  return numbers.empty() ? std::string(method->name) : fmt::format("{}:{}", method->name, numbers);
}

Choice read_choice(const std::string& option, std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  const Method& method = find(option, parts.front());
  Choice choice{.method = &method, .setting = {}};
  if (parts.size() > method.parameters.size() + 1)
    throw Error(Status::usage, fmt::format("{}: '{}' has too many numbers (expected {})", option, text, form_of(method)));
  for (std::size_t i = 0; i < method.parameters.size(); ++i) {
    const Parameter& p = method.parameters[i];
    choice.setting.push_back(i + 1 < parts.size() ? read_number(option, method, p, parts[i + 1]) : p.fallback);
  }
  return choice;
}

std::vector<Choice> read_choices(const std::string& option, std::string_view text) {
  std::vector<Choice> choices;
  for (const std::string_view part : split(text, ',')) choices.push_back(read_choice(option, part));
  return choices;
}

std::vector<Setting> rising_settings(const Setting& given, std::size_t least, std::size_t most) {
  std::vector<Setting> settings;
  for (std::size_t n = std::min(least, most);; n = std::min(std::max(n + 1, n + n / 5), most)) {
    settings.push_back(given);
    settings.back().front() = static_cast<double>(n);
    if (n == most) return settings;
  }
}

std::uint64_t tiled_bytes(const engine::Plan& plan, const Means& means) {
  const engine::Needs needs{.output = true};
  return means.type == DType::f64 ? engine::tiled_bytes<double>(plan, means.copied, needs, means.threads)
                                  : engine::tiled_bytes<float>(plan, means.copied, needs, means.threads);
}

double exact_flops(const engine::Plan& plan) {
  return 2 * plan.visible_pairs() * static_cast<double>(plan.dims.head_dim + plan.dims.value_dim);
}

}  // namespace attn::approx
