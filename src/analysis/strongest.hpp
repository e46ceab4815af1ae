// The strongest keys of each query, and the strongest queries of each key.
#pragma once

#include "analysis/shared_observer.hpp"
#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "kernels/kernels.hpp"

#include <atomic>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace attn::analysis {

/// Which pairs are listed. A weight of exactly 0 is none: masked, or too small to be told from that.
struct Selection {
  std::size_t most = 10;       ///< of each row or column
  double minimum = 0;          ///< weights below are left out
  bool no_self = false;        ///< leaves out the key at the query's own position
  std::optional<double> mass;  ///< as few keys as hold this share of the row's mass, `most` at most
  std::size_t most_pairs = std::numeric_limits<std::size_t>::max();  ///< of all rows or columns together

  /// What an engine is asked for the strongest keys of rows: one more, for the one that may be the query's own.
  [[nodiscard]] engine::Needs needs() const noexcept {
    return {.facts = mass.has_value(), .top = no_self && most + 1 > most ? most + 1 : most};
  }
};

/// Throws Error(memory): a table would hold more pairs than that.
[[noreturn]] void refuse_pairs(std::size_t most);

/// Pairs of each row or column, strongest first, ties to the lowest number: entries() of line r = (batch * heads + head) *
/// length + number. KeyWeight::key is the other side: a key for a row, a query for a column.
class Strongest {
 public:
  /// Throws Error(memory) from append() and insert() when there are more than `most_pairs` in all lines.
  Strongest(std::size_t lines, std::size_t most, std::size_t most_pairs) : most_(most), most_pairs_(most_pairs), lines_(lines) {}
  [[nodiscard]] const std::vector<engine::KeyWeight>& entries(std::size_t line) const noexcept { return lines_[line]; }
  /// Behind what a line has; the caller sees to the order.
  void append(std::size_t line, engine::KeyWeight entry) {
    count_pair();
    lines_[line].push_back(entry);
  }
  /// Where it belongs in the line; the weakest falls out. Entries with lower numbers must come first.
  void insert(std::size_t line, engine::KeyWeight entry);
  [[nodiscard]] bool is_full(std::size_t line) const noexcept { return lines_[line].size() == most_; }

 private:
  /// Counts a pair that takes new memory.
  void count_pair() {
    if (pairs_.fetch_add(1, std::memory_order_relaxed) >= most_pairs_) refuse_pairs(most_pairs_);
  }

  std::size_t most_;
  std::size_t most_pairs_;
  std::atomic<std::size_t> pairs_ = 0;
  std::vector<std::vector<engine::KeyWeight>> lines_;
};

/// The strongest keys of each row.
template <class T>
class StrongestKeys : public engine::Observer<T> {
 public:
  StrongestKeys(const engine::Plan& plan, const Selection& selection);
  [[nodiscard]] engine::Needs needs() const override { return selection_.needs(); }
  void rows(const engine::RowBlock<T>& block) override;
  [[nodiscard]] const Strongest& found() const noexcept { return found_; }
  /// Rows whose mass is not reached by as many keys as were asked for.
  [[nodiscard]] std::size_t short_rows() const;

 private:
  const engine::Plan& plan_;
  Selection selection_;
  Strongest found_;
  std::vector<unsigned char> is_short_;  ///< [rows], written by several threads
};

/// The strongest queries of each column.
template <class T>
class StrongestQueries : public SharedObserver<T> {
 public:
  StrongestQueries(const engine::Plan& plan, const Selection& selection);
  [[nodiscard]] engine::Needs needs() const override { return {.columns = true}; }
  void columns(const engine::Tile<T>& tile) override;
  [[nodiscard]] std::string told(const Lines& lines) const override;
  /// Throws Error(memory) where the pairs of all processes are too many.
  void learn(const Lines& lines, std::string_view bytes) override;
  [[nodiscard]] const Strongest& found() const noexcept { return found_; }

 private:
  /// Takes the pair (i, j) of a tile, in the order of i, if it is among the strongest of its column so far.
  void take(const engine::Tile<T>& tile, std::size_t i, std::size_t j, std::size_t line);

  const engine::Plan& plan_;
  Selection selection_;
  Strongest found_;
  std::vector<T> threshold_;  ///< what a weight must exceed to find a place in its column's list
  const kernels::KernelTable<T>& kernels_;
};

}  // namespace attn::analysis
