// Observers take what they asked for from the walk over query blocks; the engine does the least work that serves them all.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace attn::engine {

/// A rectangle of pairs of one head. The value of query `query + i` and key `key + j` is data[i * query_step + j * key_step].
template <class T>
struct Tile {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t query = 0;
  std::size_t queries = 0;
  std::size_t key = 0;
  std::size_t keys = 0;
  const T* data = nullptr;
  std::size_t query_step = 0;
  std::size_t key_step = 0;
  /// [queries]; with Needs::undivided the weights are the values divided by it (0 where it is 0). Null: the values are weights.
  const T* divisor = nullptr;

  [[nodiscard]] T at(std::size_t i, std::size_t j) const noexcept { return data[i * query_step + j * key_step]; }
};

/// What one row of weights w_j says, j over the keys that the query sees. All 0 for a query without any.
struct RowFacts {
  double entropy = 0;      ///< -sum_j w_j ln w_j in nats, whatever the weights add up to; NaN where a weight is negative
  double maximum = 0;      ///< the largest weight
  std::size_t argmax = 0;  ///< its key; of equal logits that with the lowest number
  double distance = 0;     ///< sum_j w_j |p - j|, p the query's position
  double mass = 0;         ///< sum_j w_j

  /// Some weight is negative: the entropy alone is NaN then, while a NaN among the weights makes the mass NaN, too.
  [[nodiscard]] bool has_negative() const noexcept { return std::isnan(entropy) && !std::isnan(mass); }
};

/// One of a query's strongest keys.
struct KeyWeight {
  std::size_t key = 0;
  double weight = 0;
};

/// Finished queries of one head. Pointers are null for what no observer asked for.
template <class T>
struct RowBlock {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t query = 0;
  std::size_t queries = 0;
  const T* output = nullptr;               ///< [queries, value_dim], contiguous; zero for a query without a visible key
  const double* log_sum_exp = nullptr;     ///< [queries]; ln sum_j exp(logit_j), -inf for a query without a visible key
  const std::uint8_t* is_empty = nullptr;  ///< [queries]; 1 for a query without a visible key. Always given.
  const RowFacts* facts = nullptr;         ///< [queries]
  /// The strongest keys of query i, strongest first: top[i * top_step + n] for n < top_count[i]. Strongest by their logits, of
  /// equal ones that with the lowest number; keys that nobody sees are not among them.
  const KeyWeight* top = nullptr;
  const std::size_t* top_count = nullptr;
  std::size_t top_step = 0;
};

/// What an observer wants to be handed. Asking for more never changes a bit of what others get.
struct Needs {
  bool output = false;
  bool log_sum_exp = false;
  bool weights = false;        ///< final weights; stretches of keys that nobody sees may be left out (their weights are 0)
  bool raw_scores = false;     ///< after scale and temperature: every pair, masked or not
  bool capped_scores = false;  ///< after softcap: every pair
  bool masked_scores = false;  ///< after bias and masks: every pair, -inf where masked
  bool facts = false;          ///< of each row
  std::size_t top = 0;         ///< how many of each query's strongest keys
  bool columns = false;        ///< the final weights once more, column by column
  bool undivided = false;      ///< with columns: they may come with their divisor, which spares a division of each

  [[nodiscard]] bool any_scores() const noexcept { return raw_scores || capped_scores || masked_scores; }
  Needs& operator|=(const Needs& other) noexcept {
    output |= other.output;
    log_sum_exp |= other.log_sum_exp;
    weights |= other.weights;
    raw_scores |= other.raw_scores;
    capped_scores |= other.capped_scores;
    masked_scores |= other.masked_scores;
    facts |= other.facts;
    top = std::max(top, other.top);
    columns |= other.columns;
    undivided |= other.undivided;
    return *this;
  }
  /// Something is learned of rows beside their sums.
  [[nodiscard]] bool notes() const noexcept { return facts || top > 0; }
};

/// Calls come from several threads at once, each for other queries: tiles and rows of one (batch, head, query) come from one
/// thread, the scores and weights of a query block in ascending key order, then its rows.
template <class T>
class Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;

  [[nodiscard]] virtual Needs needs() const = 0;
  virtual void weights(const Tile<T>& /*tile*/) {}
  virtual void raw_scores(const Tile<T>& /*tile*/) {}
  virtual void capped_scores(const Tile<T>& /*tile*/) {}
  virtual void masked_scores(const Tile<T>& /*tile*/) {}
  virtual void rows(const RowBlock<T>& /*block*/) {}
  /// Final weights, or with their divisor for those who ask for that, after all calls of the others: tiles of one (batch, head,
  /// key) come from one thread, in ascending order of their queries, and so do neighbouring keys j with the same j /
  /// kernels::kKeys. Tiles that nobody sees are left out.
  virtual void columns(const Tile<T>& /*tile*/) {}
};

}  // namespace attn::engine
