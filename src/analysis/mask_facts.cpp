// What a mask does: how many keys each query sees, queries without any, and which flags would make the same mask.
#include "analysis/mask_facts.hpp"

#include "analysis/mask_pattern.hpp"
#include "analysis/numbers.hpp"
#include "base/counted.hpp"
#include "base/groups.hpp"
#include "base/json_number.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace attn::analysis {

namespace {

/// The patterns of all matrices, put together into sentences.
class Patterns {
 public:
  explicit Patterns(MaskSize size) : size_(size) {}

  void add(MaskPattern pattern) { patterns_.push_back(std::move(pattern)); }

  [[nodiscard]] std::vector<std::string> sentences() const {
    std::vector<std::string> result;
    if (patterns_.empty()) return result;
    if (same_flags()) {
      if (const std::string equal = equality(); !equal.empty()) result.push_back(equal);
    } else {
      std::map<std::string, std::size_t> kinds;
      for (const MaskPattern& p : patterns_) ++kinds[sentence(p)];
      for (const auto& [text, count] : kinds) result.push_back(fmt::format("{}: {}", counted(count, "matrix", "matrices"), text));
    }
    std::map<std::string, std::size_t> remarks;
    for (const MaskPattern& p : patterns_) {
      for (const std::string& remark : p.remarks) ++remarks[remark];
    }
    for (const auto& [remark, count] : remarks)
      result.push_back(count == patterns_.size() ? remark
                                                 : fmt::format("{} of {} matrices: {}", count, patterns_.size(), remark));
    return result;
  }

 private:
  static std::string sentence(const MaskPattern& p) {
    if (p.plain) return "hides nothing";
    std::string flags = p.flags;
    if (p.key_length) flags += fmt::format("{}--key-lengths {}", flags.empty() ? "" : " ", *p.key_length);
    return flags.empty() ? "no flags make it" : "equals " + flags;
  }

  /// All matrices are made by the same flags, but for a key length of each batch entry.
  [[nodiscard]] bool same_flags() const {
    for (std::size_t m = 0; m < patterns_.size(); ++m) {
      const MaskPattern& first_head = patterns_[m / size_.heads * size_.heads];
      const MaskPattern& one = patterns_[m];
      if (one.key_length.value_or(size_.keys) != first_head.key_length.value_or(size_.keys)) return false;
      const bool only_length = one.flags.empty() && (one.plain || one.key_length);
      const bool zeroth_only_length = patterns_[0].flags.empty() && (patterns_[0].plain || patterns_[0].key_length);
      if (one.flags != patterns_[0].flags || only_length != zeroth_only_length) return false;
    }
    return true;
  }

  [[nodiscard]] std::string equality() const {
    const bool all_plain = std::ranges::all_of(patterns_, &MaskPattern::plain);
    if (all_plain) return "hides nothing: no mask is needed";
    std::vector<std::size_t> lengths;
    for (std::size_t b = 0; b < size_.batch; ++b) lengths.push_back(patterns_[b * size_.heads].key_length.value_or(size_.keys));
    std::string text = patterns_[0].flags;
    const bool shorter = std::ranges::any_of(lengths, [&](std::size_t n) { return n < size_.keys; });
    if (text.empty() && !shorter) return {};
    const bool one_length = std::ranges::all_of(lengths, [&](std::size_t n) { return n == lengths[0]; });
    if (shorter && one_length) text += fmt::format("{}--key-lengths {}", text.empty() ? "" : " ", lengths[0]);
    if (shorter && !one_length) text += fmt::format("{}--key-lengths {}", text.empty() ? "" : " ", fmt::join(lengths, ","));
    return "equals " + text;
  }

  MaskSize size_;
  std::vector<MaskPattern> patterns_;
};

void make_bars(MaskFacts& facts, const std::map<std::size_t, std::size_t>& counts) {
  constexpr std::size_t most_bars = 8;
  const std::size_t span = facts.most - facts.fewest + 1;
  const std::size_t step = groups_of(span, most_bars);
  for (std::size_t first = facts.fewest; first <= facts.most; first += step) facts.bar_first.push_back(first);
  facts.bars.assign(facts.bar_first.size(), 0);
  facts.bar_first.push_back(facts.bar_first.back() + step);
  for (const auto& [keys, queries] : counts) facts.bars[(keys - facts.fewest) / step] += queries;
}

/// The middle of the counted numbers, or the mean of the two in the middle.
double median_of(const std::map<std::size_t, std::size_t>& counts, std::size_t total) {
  const auto at = [&](std::size_t rank) {
    for (const auto& [value, count] : counts) {
      if (rank < count) return static_cast<double>(value);
      rank -= count;
    }
    return 0.0;
  };
  return total == 0 ? 0 : 0.5 * (at((total - 1) / 2) + at(total / 2));
}

std::string index_of(std::size_t row, const MaskSize& size) {
  if (size.matrices() == 1) return std::to_string(row);
  return index_text(row, {size.batch, size.heads, size.queries});
}

std::string shape_of(const MaskSize& size) {
  std::string text;
  if (size.batch > 1) text += fmt::format("{} batch entries, ", size.batch);
  if (size.heads > 1) text += fmt::format("{} heads, ", size.heads);
  return text + fmt::format("{}, {}", counted(size.queries, "query", "queries"), counted(size.keys, "key", "keys"));
}

}  // namespace

MaskFacts mask_facts(const MaskRows& mask) {
  MaskFacts facts;
  facts.size = mask.size();
  const MaskSize& size = facts.size;
  const std::unique_ptr<bool[]> memory(new bool[size.keys + 1]);  // NOLINT(modernize-avoid-c-arrays)
  const std::span<bool> keys(memory.get(), size.keys);
  std::map<std::size_t, std::size_t> counts;
  Patterns patterns(size);
  std::vector<RowShape> rows(size.queries);
  for (std::size_t m = 0; m < size.matrices(); ++m) {
    for (std::size_t i = 0; i < size.queries; ++i) {
      mask.row(m / size.heads, m % size.heads, i, keys);
      rows[i] = RowShape::of(keys, i);
      ++counts[rows[i].visible];
      facts.visible += rows[i].visible;
      if (rows[i].visible == 0 && facts.empty_rows++ == 0) facts.first_empty = m * size.queries + i;
    }
    patterns.add(recognize(rows, size.keys));
  }
  if (counts.empty()) return facts;
  facts.fewest = counts.begin()->first;
  facts.most = counts.rbegin()->first;
  facts.median = median_of(counts, size.matrices() * size.queries);
  make_bars(facts, counts);
  facts.findings = patterns.sentences();
  return facts;
}

std::string mask_facts_text(const std::string& title, const MaskFacts& f, const std::vector<std::string>& remarks) {
  std::string text = fmt::format("{}\n  shape     {}\n", title, shape_of(f.size));
  const double share = f.pairs() > 0 ? 100 * static_cast<double>(f.visible) / f.pairs() : 0;
  text += fmt::format("  visible   {} of {:.0f} pairs ({:.4g} %)\n", f.visible, f.pairs(), share);
  if (!f.bars.empty()) {
    text += f.fewest == f.most ? fmt::format("  per query {}\n", counted(f.most, "key", "keys"))
                               : fmt::format("  per query {} to {} keys, median {:g}\n", f.fewest, f.most, f.median);
    const std::size_t largest = *std::ranges::max_element(f.bars);
    for (std::size_t k = 0; k < f.bars.size() && f.bars.size() > 1; ++k) {
      const std::size_t last = f.bar_first[k + 1] - 1;
      const std::string range = last == f.bar_first[k] ? std::to_string(last) : fmt::format("{}..{}", f.bar_first[k], last);
      const std::size_t length = groups_of(f.bars[k] * 40, largest);
      text += fmt::format("    {:>12} {:>8}{}{}\n", range, f.bars[k], length == 0 ? "" : " ", std::string(length, '#'));
    }
  }
  text += fmt::format("  no keys   {}{}\n", counted(f.empty_rows, "query", "queries"),
                      f.empty_rows == 0 ? "" : fmt::format(", the first is {}", index_of(f.first_empty, f.size)));
  for (const std::string& remark : remarks) text += fmt::format("  reading   {}\n", remark);
  for (const std::string& finding : f.findings) text += fmt::format("  finding   {}\n", finding);
  return text;
}

std::string mask_facts_json(const std::string& title, const MaskFacts& f, const std::vector<std::string>& remarks) {
  Json histogram = Json::array();
  for (std::size_t k = 0; k < f.bars.size(); ++k)
    histogram.push_back({{"from", f.bar_first[k]}, {"to", f.bar_first[k + 1] - 1}, {"queries", f.bars[k]}});
  const Json all{{"mask", title},
                 {"batch", f.size.batch},
                 {"heads", f.size.heads},
                 {"queries", f.size.queries},
                 {"keys", f.size.keys},
                 {"visible_pairs", f.visible},
                 {"visible_share", f.pairs() > 0 ? static_cast<double>(f.visible) / f.pairs() : 0},
                 {"keys_per_query", {{"min", f.fewest}, {"median", f.median}, {"max", f.most}}},
                 {"empty_queries", f.empty_rows},
                 {"first_empty_query", f.empty_rows == 0 ? Json(nullptr) : Json(f.first_empty)},
                 {"histogram", histogram},
                 {"reading", remarks},
                 {"findings", f.findings}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attn::analysis
