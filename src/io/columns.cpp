// Column selectors, as they stand behind a file name: names of the header row or numbers from 1, ranges of either, lists of
// those.
#include "io/columns.hpp"

#include "io/text.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::size_t several = static_cast<std::size_t>(-1);

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Calls `f` with each piece of `text` between commas.
template <class F>
void for_each_item(std::string_view text, F&& f) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    f(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

/// The names of a long list as a message shows them.
std::string some_of(std::span<const std::string> names) {
  constexpr std::size_t most = 12;
  std::string result;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) result += (i == 0 ? "" : ", ") + excerpt(names[i]);
  if (names.size() > most) result += fmt::format(", ... ({} columns)", names.size());
  return result;
}

/// Edits (a character put in, left out or changed) that make `b` of `a`.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

class Selection {
 public:
  Selection(std::string_view selector, std::span<const std::string> names, std::size_t columns, const std::string& file)
      : selector_(selector), names_(names), columns_(columns), file_(file) {
    index_.reserve(names.size());
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!index_.emplace(names[i], i).second) index_[names[i]] = several;
  }

  std::vector<std::size_t> resolve() {
    if (index_.contains(selector_)) {
      result_.push_back(column(selector_));
    } else {
      for_each_item(selector_, [&](std::string_view item) { add(item); });
    }
    return std::move(result_);
  }

 private:
  void add(std::string_view item) {
    if (item.empty()) usage("it has an empty item");
    const std::size_t dots = item.find("..");
    if (index_.contains(item) || dots == std::string_view::npos) {
      result_.push_back(column(item));
      return;
    }
    const std::string_view low = item.substr(0, dots);
    const std::string_view high = item.substr(dots + 2);
    if (low.empty() && high.empty()) usage("a range needs at least one end");
    const std::size_t first = low.empty() ? 0 : column(low);
    const std::size_t last = high.empty() ? columns_ - 1 : column(high);
    if (first > last) usage(fmt::format("the range {} runs backwards", excerpt(item)));
    for (std::size_t i = first; i <= last; ++i) result_.push_back(i);
  }

  std::size_t column(std::string_view word) {
    if (const auto found = index_.find(word); found != index_.end()) {
      if (found->second == several) ambiguous(word);
      return found->second;
    }
    if (!is_number(word)) unknown(word);
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error == std::errc() && number == 0) usage("columns count from 1");
    if (error != std::errc() || number > columns_)
      data(fmt::format("there is no column {} (the file has {})", word, columns_), {});
    return number - 1;
  }

  [[noreturn]] void usage(const std::string& why) const {
    throw Error(Status::usage, fmt::format("the column selector {} has no meaning: {}", excerpt(selector_), why),
                "columns are header names or numbers from 1, ranges and lists of them: FILE:1..3,7 or FILE:p0..p63");
  }
  [[noreturn]] void data(const std::string& what, std::string hint) const {
    throw Error(Status::data, Location{file_, 0, 0}, what, std::move(hint));
  }
  [[noreturn]] void ambiguous(std::string_view word) const {
    const auto first = std::find(names_.begin(), names_.end(), word);
    const auto second = std::find(first + 1, names_.end(), word);
    data(fmt::format("the columns {} and {} are both called {}", first - names_.begin() + 1, second - names_.begin() + 1,
                     excerpt(word)),
         "select such columns by their numbers, which count from 1");
  }
  [[noreturn]] void unknown(std::string_view word) const {
    if (names_.empty())
      data(fmt::format("no column can be called {}, because the file has no header row", excerpt(word)),
           "select columns by their numbers from 1, or say --header yes if the first row holds names");
    const std::string_view near = nearest_name(word, names_);
    std::string hint = near.empty() ? std::string() : fmt::format("did you mean {}? ", excerpt(near));
    hint += fmt::format("the columns are {}", some_of(names_));
    data(fmt::format("there is no column {}", excerpt(word)), hint);
  }

  std::string_view selector_;
  std::span<const std::string> names_;
  std::size_t columns_;
  const std::string& file_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::vector<std::size_t> result_;
};

}  // namespace

std::vector<std::size_t> select_columns(std::string_view selector, std::span<const std::string> names, std::size_t columns,
                                        const std::string& file) {
  return Selection(selector, names, columns, file).resolve();
}

bool selector_names(std::string_view selector, std::string_view cell) {
  if (cell.empty() || is_number(cell)) return false;
  if (selector == cell) return true;
  bool found = false;
  for_each_item(selector, [&](std::string_view item) {
    const std::size_t dots = item.find("..");
    found = found || item == cell;
    if (dots != std::string_view::npos) found = found || item.substr(0, dots) == cell || item.substr(dots + 2) == cell;
  });
  return found;
}

std::string_view nearest_name(std::string_view word, std::span<const std::string> known) {
  constexpr std::size_t longest = 100;    // longer names are no slips of the finger,
  constexpr std::size_t enough = 10'000;  // and nobody waits for the comparison with millions
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, std::min(word.size(), longest) / 3) + 1;
  if (word.size() > longest) return best;
  for (const std::string& name : known.subspan(0, std::min(known.size(), enough))) {
    if (name.empty() || name.size() > longest) continue;
    const std::size_t found = distance(word, name);
    if (found >= best_distance) continue;
    best = name;
    best_distance = found;
  }
  return best;
}

}  // namespace attn
