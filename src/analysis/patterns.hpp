// What heads look at: the previous token, the first, themselves, their neighbours, everything.
#pragma once

#include "analysis/statistics.hpp"

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace attn::analysis {

/// Mean weights of one head over its rows with two weights or more that have the key in question; p is the query's position.
/// A key that is masked has weight 0.
struct HeadPattern {
  double previous = 0;  ///< of key p - 1
  double first = 0;     ///< of key 0
  double self = 0;      ///< of key p
  double band = 0;      ///< of all keys p - kBand to p + kBand together
  double uniform = 0;   ///< entropy of the weights' shares over ln(number of keys with a weight)

  /// The pattern that the head is called by, and its score.
  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] double score() const noexcept;
};

/// Neighbours on each side that belong to the diagonal band.
inline constexpr std::int64_t kBand = 3;

/// Watches the weights of all rows go by.
template <class T>
class PatternWatch : public SharedObserver<T> {
 public:
  /// `shares`: what is watched does not add up to 1 as it should; each row counts by its shares.
  PatternWatch(const engine::Plan& plan, bool shares)
      : plan_(plan), shares_(shares), rows_(plan.dims.batch * plan.dims.heads * plan.dims.q_len) {}
  [[nodiscard]] Needs needs() const override { return {.weights = true, .facts = true}; }
  void weights(const Tile<T>& tile) override;
  void rows(const RowBlock<T>& block) override;
  [[nodiscard]] std::string told(const Lines& lines) const override {
    return bytes_of(lines, rows_, plan_.dims.heads, plan_.dims.q_len);
  }
  void learn(const Lines& lines, std::string_view bytes) override {
    take_bytes(lines, bytes, rows_, plan_.dims.heads, plan_.dims.q_len);
  }
  /// The first row with negative weights, which have no entropy: heads() means nothing then.
  [[nodiscard]] std::optional<std::size_t> first_negative() const;
  /// [batch, heads], after the walk.
  [[nodiscard]] std::vector<HeadPattern> heads() const;

 private:
  struct RowPattern {
    double previous = 0;
    double first = 0;
    double self = 0;
    double band = 0;
    double entropy = 0;
    double whole = 1;  ///< what its numbers are shares of
    std::size_t keys = 0;
    bool is_negative = false;
  };
  [[nodiscard]] std::size_t row_of(std::size_t b, std::size_t h, std::size_t i) const noexcept {
    return (b * plan_.dims.heads + h) * plan_.dims.q_len + i;
  }

  const engine::Plan& plan_;
  const bool shares_;
  std::vector<RowPattern> rows_;
};

}  // namespace attn::analysis
