// The two engines: one plain, in float64, that reads like the paper, and one fast. Same plan, same observers, same meaning.
#pragma once

#include "engine/observer.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"
#include "engine/products.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace attn::engine {

/// How a walk runs; nothing here changes a bit of its results.
struct Execution {
  std::size_t threads = 1;
  std::string isa;                               ///< vector target to force ("avx2"); empty takes the best
  const std::atomic<bool>* cancelled = nullptr;  ///< looked at between query blocks; true throws Error(interrupted)
  std::function<void(double)> progress;          ///< told the finished fraction now and then, from any thread; may be empty
  bool map_masks = true;                         ///< find out first which tiles masks hide or leave open; false reads them all
};

/// Walks (batch, head, query) in float64 with one row of scores at a time: scores, logits and weights as in the formulas.
void run_reference(const Plan& plan, const Operands<double>& operands, std::span<Observer<double>* const> observers,
                   const Execution& execution);

/// Walks blocks of queries against blocks of keys with online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): memory is
/// O(queries * (head_dim + value_dim)) a thread. The same bits for every number of threads, every vector width with fused
/// multiply-add and every set of observers. T is float or double. `products`, when given, computes the products of its tiles
/// (scores that are products only, weights that are never negative); else the kernels do.
template <class T>
void run_tiled(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers, const Execution& execution,
               const Products<T>* products = nullptr);

/// Names of the vector targets this processor can run, best first, and of the one that `isa` (or the best, when empty) selects.
/// Throws Error(usage) that names the possible ones when `isa` is not among them.
[[nodiscard]] std::vector<std::string> available_isas();
[[nodiscard]] std::string selected_isa(const std::string& isa);

/// Runs body(task) for every task below `count`, on `threads` threads, each once, handed out dynamically in ascending order. The
/// first exception stops the walk and is rethrown.
void for_each_task(std::size_t count, const Execution& execution, const std::function<void(std::size_t)>& body);

/// Throws Error(interrupted) once `cancelled` is set.
void stop_if_cancelled(const Execution& execution);

}  // namespace attn::engine
