// Choosing one array of several by its name.
#include "io/array_names.hpp"

#include "base/nearest.hpp"
#include "io/descriptor.hpp"

#include <algorithm>
#include <iterator>
#include <span>

#include <fmt/format.h>

namespace attn {

std::string shown_name(std::string_view name) {
  constexpr std::size_t longest = 200;
  std::string shown;
  for (const char c : name.substr(0, longest)) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7F) {
      fmt::format_to(std::back_inserter(shown), "\\x{:02X}", code);
    } else {
      shown += c;
    }
  }
  if (name.size() > longest) shown += "...";
  return shown;
}

Location location_of(const std::string& label, std::string_view name) { return {label + ":" + shown_name(name)}; }

namespace {

/// What the user would type.
std::string argument_of(const std::string& label, const std::string& name) {
  return (label == input_label("-") ? "-" : label) + ":" + shown_name(name);
}

}  // namespace

std::size_t choose_array(const std::vector<std::string>& names, std::string_view wanted, const std::string& label) {
  const auto found = std::ranges::find(names, wanted);
  if (found != names.end() && !wanted.empty()) return static_cast<std::size_t>(found - names.begin());
  if (names.empty()) throw Error(Status::data, {label}, "the file holds no arrays");
  if (wanted.empty() && names.size() == 1) return 0;

  constexpr std::size_t listed = 20;
  constexpr std::size_t compared = 10000;
  std::string list;
  for (const std::string& name : std::span(names).first(std::min(listed, names.size())))
    list += (list.empty() ? "" : ", ") + shown_name(name);
  if (names.size() > listed) list += fmt::format(" and {} more", names.size() - listed);
  if (wanted.empty())
    throw Error(Status::data, {label}, fmt::format("the file holds {} arrays (expected the name of one): {}", names.size(), list),
                fmt::format("select one behind a colon, as in {}", argument_of(label, names.front())));
  const std::string near =
      nearest(wanted, {names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(compared, names.size()))});
  throw Error(Status::data, {label}, fmt::format("there is no array '{}' in the file; it holds {}", shown_name(wanted), list),
              near.empty() ? std::string() : fmt::format("did you mean '{}'?", argument_of(label, near)));
}

}  // namespace attn
