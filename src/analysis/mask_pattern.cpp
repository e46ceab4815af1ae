// Recognizing what a mask is: the flags that make it, and the usual mistakes.
#include "analysis/mask_pattern.hpp"

#include "engine/plan.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::analysis {

namespace {

struct Interval {
  std::size_t begin = 0;
  std::size_t end = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

using Intervals = std::vector<Interval>;

/// A mask of intervals in the terms of the options.
struct Fit {
  std::int64_t offset = 0;
  std::optional<std::int64_t> left;
  std::optional<std::int64_t> right;
  std::size_t length = 0;
};

std::int64_t as_signed(std::size_t n) { return static_cast<std::int64_t>(n); }

/// The one distance that all rows agree on, or that no row has. `Row` gives a row's distance if its side is not cut off by the
/// edge.
template <class Row>
bool common_distance(std::size_t rows, const Row& distance, std::optional<std::int64_t>& common) {
  for (std::size_t i = 0; i < rows; ++i) {
    const std::optional<std::int64_t> one = distance(i);
    if (!one) continue;
    if (common && *common != *one) return false;
    common = one;
  }
  return true;
}

/// Whether a plan with these options makes exactly these intervals: the engine decides.
bool makes(const Fit& fit, const Intervals& rows, std::size_t keys) {
  engine::Plan plan;
  plan.dims = {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = rows.size(), .kv_len = keys, .head_dim = 1, .value_dim = 1};
  plan.options.window.left = fit.left;
  plan.options.window.right = fit.right;
  plan.query_offset = {fit.offset};
  plan.key_length = {fit.length};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const engine::KeyRange range = plan.range(0, i);
    if (range.empty() != (rows[i].begin == rows[i].end)) return false;
    if (!range.empty() && (range.begin != rows[i].begin || range.end != rows[i].end)) return false;
  }
  return true;
}

std::optional<Fit> fit_at(const Intervals& rows, std::size_t keys, std::size_t length, std::int64_t offset) {
  Fit fit{.offset = offset, .left = {}, .right = {}, .length = length};
  const auto empty = [&](std::size_t i) { return rows[i].begin == rows[i].end; };
  const bool right = common_distance(
      rows.size(),
      [&](std::size_t i) -> std::optional<std::int64_t> {
        if (empty(i) || rows[i].end >= length) return std::nullopt;
        return as_signed(rows[i].end) - 1 - as_signed(i) - offset;
      },
      fit.right);
  const bool left = common_distance(
      rows.size(),
      [&](std::size_t i) -> std::optional<std::int64_t> {
        if (empty(i) || rows[i].begin == 0) return std::nullopt;
        return as_signed(i) + offset - as_signed(rows[i].begin);
      },
      fit.left);
  if (!right || !left || fit.right.value_or(0) < 0 || fit.left.value_or(0) < 0 || !makes(fit, rows, keys)) return std::nullopt;
  return fit;
}

/// How much a user has to type and think: causal is simpler than a window, a whole length than a shorter one, offset 0 than
/// others.
int effort(const Fit& fit, std::size_t queries, std::size_t keys) {
  int sum = fit.length < keys ? 2 : 0;
  if (fit.right) sum += *fit.right == 0 ? 1 : 3;
  if (fit.left) sum += 2;
  const bool end = fit.offset == as_signed(fit.length) - as_signed(queries);
  if (fit.offset != 0) sum += end || queries != keys ? 1 : 2;
  return sum;
}

/// The simplest options that make these intervals.
std::optional<Fit> fit(const Intervals& rows, std::size_t keys) {
  std::size_t longest = 0;
  for (const Interval& row : rows) longest = std::max(longest, row.end);
  const Fit padding{.offset = 0, .left = {}, .right = {}, .length = longest};
  if (makes(padding, rows, keys)) return padding;
  std::vector<std::size_t> lengths{keys};
  if (longest < keys) lengths.push_back(longest);
  std::optional<Fit> best;
  for (const std::size_t length : lengths) {
    std::vector<std::int64_t> offsets{0, as_signed(length) - as_signed(rows.size())};
    // The offset with which a row that ends before the edge would be causal.
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].begin == rows[i].end || rows[i].end >= length) continue;
      offsets.push_back(as_signed(rows[i].end) - 1 - as_signed(i));
      break;
    }
    for (const std::int64_t offset : offsets) {
      const auto found = fit_at(rows, keys, length, offset);
      if (found && (!best || effort(*found, rows.size(), keys) < effort(*best, rows.size(), keys))) best = found;
    }
  }
  return best;
}

/// The flags without the key length.
std::string flags_of(const Fit& fit, std::size_t queries, std::size_t keys) {
  std::string flags;
  const auto side = [](const std::optional<std::int64_t>& distance) {
    return distance ? std::to_string(*distance) : std::string();
  };
  const bool causal = fit.right == 0;
  if (causal) flags = "--causal";
  if (fit.left || (fit.right && !causal))
    flags += fmt::format("{}--window {}:{}", flags.empty() ? "" : " ", side(fit.left), causal ? "" : side(fit.right));
  if (flags.empty()) return flags;
  if (fit.offset == as_signed(fit.length) - as_signed(queries) && fit.offset != 0) return flags + " --query-offset end";
  if (fit.offset != 0 || queries != keys) flags += fmt::format(" --query-offset {}", fit.offset);
  return flags;
}

/// Where contiguous segments begin when the rows are those of a block-diagonal mask (possibly causal within the blocks).
std::vector<std::size_t> segment_starts(const Intervals& rows, bool causal) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < rows.size();) {
    const std::size_t begin = i;
    std::size_t end = begin;
    while (end < rows.size() && rows[end].begin == begin) ++end;
    if (end == begin) return {};
    for (; i < end; ++i) {
      if (rows[i] != Interval{begin, causal ? i + 1 : end}) return {};
    }
    starts.push_back(begin);
  }
  return starts;
}

std::string segment_flags(const Intervals& rows, std::size_t keys) {
  if (rows.size() != keys) return {};
  for (const bool causal : {false, true}) {
    const std::vector<std::size_t> starts = segment_starts(rows, causal);
    if (starts.size() < 2) continue;
    std::vector<std::size_t> lengths;
    for (std::size_t s = 0; s < starts.size(); ++s) lengths.push_back((s + 1 < starts.size() ? starts[s + 1] : keys) - starts[s]);
    const bool equal = std::all_of(lengths.begin(), lengths.end() - 1, [&](std::size_t n) { return n == lengths[0]; }) &&
                       lengths.back() <= lengths[0];
    const std::string tail = causal ? " --causal" : "";
    if (equal) return fmt::format("--block-size {}{}", lengths[0], tail);
    const std::size_t shown = std::min<std::size_t>(lengths.size(), 12);
    return fmt::format("--segments of lengths {}{}{}",
                       fmt::join(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(shown), ","),
                       shown < lengths.size() ? ",..." : "", tail);
  }
  return {};
}

/// The intervals of a matrix, if all its rows are intervals.
std::optional<Intervals> visible_intervals(std::span<const RowShape> rows) {
  Intervals intervals;
  for (const RowShape& row : rows) {
    if (row.end - row.begin != row.visible) return std::nullopt;
    intervals.push_back({row.begin, row.end});
  }
  return intervals;
}

std::optional<Intervals> hidden_intervals(std::span<const RowShape> rows, std::size_t keys) {
  Intervals intervals;
  for (const RowShape& row : rows) {
    if (row.hidden_end - row.hidden_begin != keys - row.visible) return std::nullopt;
    intervals.push_back({row.hidden_begin, row.hidden_end});
  }
  return intervals;
}

bool is_causal(const Intervals& rows, std::size_t keys, std::int64_t offset) {
  return makes({.offset = offset, .left = {}, .right = 0, .length = keys}, rows, keys);
}

/// Mistakes of square masks, where query i and key i are the same token.
std::vector<std::string> square_remarks(std::span<const RowShape> rows, std::size_t keys) {
  std::vector<std::string> remarks;
  if (rows.size() != keys || keys < 2) return remarks;
  const auto visible = visible_intervals(rows);
  const auto hidden = hidden_intervals(rows, keys);
  const auto own = static_cast<std::size_t>(std::ranges::count_if(rows, [](const RowShape& row) { return row.diagonal; }));
  if (visible && is_causal(*visible, keys, -1)) {
    remarks.emplace_back("causal with the diagonal excluded: off by one? no query sees its own key, and the first sees none");
  } else if (hidden && is_causal(*hidden, keys, 0)) {
    remarks.emplace_back(
        "diagonal hidden: looks inverted; it is the opposite of --causal, so if 1 hides here say --mask-type block");
  } else if (visible && makes({.offset = 0, .left = 0, .right = {}, .length = keys}, *visible, keys)) {
    remarks.emplace_back(
        "looks like the transpose of a causal mask: query i sees the keys from i on (attn convert M M_T.npy --transpose)");
  } else if (hidden && is_causal(*hidden, keys, -1)) {
    remarks.emplace_back("the opposite of a causal mask without its diagonal: transposed or inverted");
  } else if (own == 0) {
    remarks.emplace_back("diagonal hidden: looks inverted; if 1 hides here say --mask-type block");
  }
  return remarks;
}

}  // namespace

RowShape RowShape::of(std::span<const bool> keys, std::size_t query) {
  RowShape row;
  bool any_hidden = false;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    if (keys[j]) {
      if (row.visible++ == 0) row.begin = j;
      row.end = j + 1;
    } else {
      if (!any_hidden) row.hidden_begin = j;
      any_hidden = true;
      row.hidden_end = j + 1;
    }
  }
  row.diagonal = query < keys.size() && keys[query];
  return row;
}

MaskPattern recognize(std::span<const RowShape> rows, std::size_t keys) {
  MaskPattern pattern;
  if (rows.empty() || keys == 0) return pattern;
  const bool nothing = std::ranges::all_of(rows, [](const RowShape& row) { return row.visible == 0; });
  if (nothing) {
    pattern.key_length = 0;
    pattern.remarks.emplace_back("hides everything");
    return pattern;
  }
  pattern.remarks = square_remarks(rows, keys);
  const auto visible = visible_intervals(rows);
  if (!visible) return pattern;
  if (const auto found = fit(*visible, keys)) {
    pattern.flags = flags_of(*found, rows.size(), keys);
    if (found->length < keys) pattern.key_length = found->length;
    pattern.plain = pattern.flags.empty() && !pattern.key_length;
  } else {
    pattern.flags = segment_flags(*visible, keys);
  }
  return pattern;
}

}  // namespace attn::analysis
