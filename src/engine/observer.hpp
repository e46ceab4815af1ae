// Observers take what they asked for from the walk over query blocks; the engine does the least work that serves them all.
#pragma once

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

  [[nodiscard]] T at(std::size_t i, std::size_t j) const noexcept { return data[i * query_step + j * key_step]; }
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
};

/// What an observer wants to be handed. Asking for more never changes a bit of what others get.
struct Needs {
  bool output = false;
  bool log_sum_exp = false;
  bool weights = false;        ///< final weights; stretches of keys that nobody sees may be left out (their weights are 0)
  bool raw_scores = false;     ///< after scale and temperature: every pair, masked or not
  bool capped_scores = false;  ///< after softcap: every pair
  bool masked_scores = false;  ///< after bias and masks: every pair, -inf where masked

  [[nodiscard]] bool any_scores() const noexcept { return raw_scores || capped_scores || masked_scores; }
  Needs& operator|=(const Needs& other) noexcept {
    output |= other.output;
    log_sum_exp |= other.log_sum_exp;
    weights |= other.weights;
    raw_scores |= other.raw_scores;
    capped_scores |= other.capped_scores;
    masked_scores |= other.masked_scores;
    return *this;
  }
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
};

}  // namespace attn::engine
