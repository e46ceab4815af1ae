// The cells of a picture of weights: means or largest of rectangles of pairs, gathered while a walk hands out columns. The matrix
// itself is never there.
#pragma once

#include "analysis/shared_observer.hpp"
#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "kernels/kernels.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

namespace attn::analysis {

enum class Pool { mean, max };

/// What is drawn: some heads, each as rows x columns cells, no more than there are queries and keys. Row y holds the queries from
/// floor(y q_len / rows) up to those of the next row; columns and keys likewise.
struct PoolGrid {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<std::size_t> heads;  ///< batch * plan.dims.heads + head, ascending
};

/// How many partial numbers a row of cells is gathered in.
[[nodiscard]] std::size_t pieces_of(const PoolGrid& grid, std::size_t kv_len);

/// Each cell is the exact mean or maximum of its pairs; a masked pair counts as the 0 that its weight is. A cell with a NaN
/// among its pairs is NaN, and so are cells with rows that --empty-rows nan makes NaN. Sums are float64 of the tiles' sums in T,
/// in an order that no number of threads changes.
template <class T>
class PooledWeights : public SharedObserver<T> {
 public:
  PooledWeights(const engine::Plan& plan, Pool pool, PoolGrid grid);

  [[nodiscard]] engine::Needs needs() const override { return {.columns = true, .undivided = true}; }
  void rows(const engine::RowBlock<T>& block) override;
  void columns(const engine::Tile<T>& tile) override;
  /// Of the sums over columns that begin with a whole tile of keys; what rows say they do not hold.
  [[nodiscard]] std::string told(const Lines& lines) const override;
  void learn(const Lines& lines, std::string_view bytes) override;

  [[nodiscard]] const PoolGrid& grid() const noexcept { return grid_; }
  /// The cells of grid().heads[n], row-major, after the walk.
  [[nodiscard]] std::vector<double> cells(std::size_t n) const;

 private:
  /// Keys of one cell that are handed out together: cells are cut where tasks of a walk may be.
  struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t column = 0;
  };
  /// f(first, count) for the sums of the pieces in `lines`, head by head: places in sums_ and seen_.
  template <class F>
  void for_each_sums(const Lines& lines, F&& f) const;
  void take_piece(const engine::Tile<T>& tile, const Piece& piece, double* to);
  /// One number for each query of the tile from the keys [begin, end) of it, in `lanes`.
  void pool_keys(const engine::Tile<T>& tile, std::size_t begin, std::size_t end, std::size_t first, std::size_t count,
                 T* lanes) const;

  const engine::Plan& plan_;
  const kernels::KernelTable<T>& kernels_;
  Pool pool_;
  PoolGrid grid_;
  std::vector<std::size_t> plane_of_;  ///< of each head of all batch entries: its place in grid_.heads, or kNotDrawn
  std::vector<Piece> pieces_;
  std::vector<double> sums_;  ///< [heads][pieces][rows]: sums or largest
  std::vector<double> seen_;  ///< likewise, of Pool::max where weights may be negative: how many pairs were handed out
  /// [heads][rows of cells]; 1 where some row of weights is NaN as it is empty. Set by several threads.
  std::unique_ptr<std::atomic<bool>[]> is_nan_;
};

}  // namespace attn::analysis
