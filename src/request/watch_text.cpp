// Statistics and strongest pairs as text.
#include "request/watch_text.hpp"

#include "base/counted.hpp"
#include "io/csv.hpp"
#include "render/text.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::request {

namespace {

/// A row of a table: batch, head, and what follows.
class Cells {
 public:
  Cells(Outputs::TextSink& sink, const std::vector<std::string>& header, const WatchText& text)
      : csv_(sink, header), text_(text) {}

  Cells& head(std::size_t h) {
    csv_.index(h / text_.dims.heads).index(h % text_.dims.heads);
    return *this;
  }
  Cells& named(const std::vector<std::string>& names, std::size_t index) {
    if (names.empty())
      csv_.index(index);
    else
      csv_.text(names[index]);
    return *this;
  }
  Cells& index(std::size_t value) {
    csv_.index(value);
    return *this;
  }
  Cells& text(std::string_view cell) {
    csv_.text(cell);
    return *this;
  }
  Cells& real(double value) {
    if (text_.is_single)
      csv_.real(static_cast<float>(value));
    else
      csv_.real(value);
    return *this;
  }
  void end() { csv_.end_row(); }
  void finish() { csv_.finish(); }

 private:
  CsvRows csv_;
  const WatchText& text_;
};

/// One JSON object a line; a name that is no UTF-8 is repaired.
class JsonLines {
 public:
  explicit JsonLines(Outputs::TextSink& sink) : sink_(sink) {}
  void add(const nlohmann::ordered_json& object) {
    buffer_ += object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    buffer_ += '\n';
    if (buffer_.size() >= std::size_t{1} << 16U) finish();
  }
  void finish() {
    sink_.write(buffer_);
    buffer_.clear();
  }

 private:
  Outputs::TextSink& sink_;
  std::string buffer_;
};

nlohmann::ordered_json name_json(const std::vector<std::string>& names, std::size_t index) {
  if (names.empty()) return index;
  return names[index];
}

/// The number with as many digits as its type has; JSON has no NaN.
nlohmann::ordered_json number_json(double value, bool is_single) {
  if (!std::isfinite(value)) return nullptr;
  return is_single ? std::stod(shortest(static_cast<float>(value))) : value;
}

/// Columns that a name keeps in the narrowest window.
constexpr std::size_t kLeastName = 8;

/// The keys that receive most from all heads and batch entries, the most first, and what to say of it.
std::vector<std::pair<std::size_t, std::string>> most_received(std::size_t kv_len,
                                                               const std::vector<analysis::ColumnFacts>& columns) {
  constexpr std::size_t most_keys = 5;
  std::vector<double> received(kv_len);
  for (std::size_t c = 0; c < columns.size(); ++c) received[c % kv_len] += columns[c].received;
  std::vector<std::size_t> order(kv_len);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto shown = static_cast<std::ptrdiff_t>(std::min(most_keys, order.size()));
  // NaN comes first: something is wrong with that key.
  const auto rank = [&](std::size_t key) {
    return std::isnan(received[key]) ? std::numeric_limits<double>::infinity() : received[key];
  };
  std::partial_sort(order.begin(), order.begin() + shown, order.end(),
                    [&](std::size_t a, std::size_t b) { return rank(a) != rank(b) ? rank(a) > rank(b) : a < b; });
  order.resize(static_cast<std::size_t>(shown));
  const double total = std::accumulate(received.begin(), received.end(), 0.0);
  std::vector<std::pair<std::size_t, std::string>> most;
  for (const std::size_t key : order)
    most.emplace_back(key, fmt::format("{:>8.2f} {:>6.2f} %", received[key], total == 0 ? 0.0 : 100 * received[key] / total));
  return most;
}

}  // namespace

void WatchText::rows(Outputs::TextSink& sink, const std::vector<engine::RowFacts>& facts) const {
  Cells cells(sink, {"batch", "head", "query", "entropy", "support", "max", "argmax", "distance"}, *this);
  for (std::size_t r = 0; r < facts.size(); ++r) {
    const engine::RowFacts& f = facts[r];
    cells.head(r / dims.q_len).named(ids, r % dims.q_len).real(f.entropy).real(std::exp(f.entropy)).real(f.maximum);
    cells.named(key_ids, f.argmax).real(f.distance).end();
  }
  cells.finish();
}

void WatchText::columns(Outputs::TextSink& sink, const std::vector<analysis::ColumnFacts>& facts) const {
  Cells cells(sink, {"batch", "head", "key", "received", "max", "argmax"}, *this);
  for (std::size_t c = 0; c < facts.size(); ++c) {
    const analysis::ColumnFacts& f = facts[c];
    cells.head(c / dims.kv_len).named(key_ids, c % dims.kv_len).real(f.received).real(std::isinf(f.maximum) ? 0 : f.maximum);
    cells.named(ids, f.argmax).end();
  }
  cells.finish();
}

void WatchText::heads(Outputs::TextSink& sink, const std::vector<analysis::HeadFacts>& facts) const {
  Cells cells(sink, {"batch", "head", "entropy", "support", "max", "distance"}, *this);
  for (std::size_t h = 0; h < facts.size(); ++h) {
    const analysis::HeadFacts& f = facts[h];
    cells.head(h).real(f.entropy).real(f.support).real(f.maximum).real(f.distance).end();
  }
  cells.finish();
}

void WatchText::patterns(Outputs::TextSink& sink, const std::vector<analysis::HeadPattern>& patterns) const {
  Cells cells(sink, {"batch", "head", "pattern", "score", "previous", "first", "self", "band", "uniform"}, *this);
  for (std::size_t h = 0; h < patterns.size(); ++h) {
    const analysis::HeadPattern& p = patterns[h];
    cells.head(h).text(p.name()).real(p.score());
    cells.real(p.previous).real(p.first).real(p.self).real(p.band).real(p.uniform).end();
  }
  cells.finish();
}

void WatchText::strongest(Outputs::TextSink& sink, const analysis::Strongest& found, TopBy by, TopForm form) const {
  const bool is_row = by == TopBy::row;
  const std::size_t length = is_row ? dims.q_len : dims.kv_len;
  const auto for_each = [&](auto&& f) {
    for (std::size_t line = 0; line < dims.batch * dims.heads * length; ++line)
      for (std::size_t n = 0; n < found.entries(line).size(); ++n) {
        const engine::KeyWeight& entry = found.entries(line)[n];
        const std::size_t own = line % length;
        f(line / length, is_row ? own : entry.key, is_row ? entry.key : own, n + 1, entry.weight);
      }
  };
  if (form == TopForm::csv) {
    Cells cells(sink, {"batch", "head", "query", "rank", "key", "weight"}, *this);
    for_each([&](std::size_t head, std::size_t query, std::size_t key, std::size_t rank, double weight) {
      cells.head(head).named(ids, query).index(rank).named(key_ids, key).real(weight).end();
    });
    return cells.finish();
  }
  JsonLines lines(sink);
  for_each([&](std::size_t head, std::size_t query, std::size_t key, std::size_t rank, double weight) {
    lines.add({{"batch", head / dims.heads},
               {"head", head % dims.heads},
               {"query", name_json(ids, query)},
               {"rank", rank},
               {"key", name_json(key_ids, key)},
               {"weight", number_json(weight, is_single)}});
  });
  lines.finish();
}

void WatchText::summary(Outputs::TextSink& sink, const std::vector<analysis::HeadFacts>& heads,
                        const std::vector<analysis::ColumnFacts>& columns, const render::Terminal& window) const {
  constexpr std::size_t most_heads = 12;
  std::string page = fmt::format("{}, {}, {}, batch {}\n", counted(dims.q_len, "query", "queries"),
                                 counted(dims.kv_len, "key", "keys"), counted(dims.heads, "head", "heads"), dims.batch);
  page += fmt::format("{:>5} {:>5} {:>10} {:>10} {:>8} {:>10}\n", "batch", "head", "entropy", "support", "max", "distance");
  for (std::size_t h = 0; h < std::min(heads.size(), most_heads); ++h)
    page += fmt::format("{:>5} {:>5} {:>10.4f} {:>10.2f} {:>8.4f} {:>10.2f}\n", h / dims.heads, h % dims.heads, heads[h].entropy,
                        heads[h].support, heads[h].maximum, heads[h].distance);
  if (heads.size() > most_heads) page += fmt::format("      and {} more heads (--per head)\n", heads.size() - most_heads);
  page += "keys that receive most, over all heads, and their share of it all:\n";
  std::size_t longest = 0;
  std::vector<std::pair<std::string, std::string>> lines;
  for (auto& [key, share] : most_received(dims.kv_len, columns)) {
    lines.emplace_back(key_ids.empty() ? std::to_string(key) : render::showable(key_ids[key]), std::move(share));
    longest = std::max(longest, render::columns_of(lines.back().first));
  }
  for (const auto& [name, share] : lines) {
    const std::size_t taken = 4 + share.size();
    const std::size_t room = std::max(kLeastName, window.columns > taken ? window.columns - taken : 0);
    page += fmt::format("  {}  {}\n", render::fitted(name, std::min(longest, room), window.unicode, false), share);
  }
  sink.write(page);
}

}  // namespace attn::request
