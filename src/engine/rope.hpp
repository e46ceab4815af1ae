// Rotary positions: the angles of a range of positions, and the turning of rows by them.
#pragma once

#include "engine/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::engine {

/// Rotary positions (Su et al. 2021, eq. 34): pair i turns by position * base^(-2i/dim), or by that frequency scaled as
/// RopeScaling says. Angles, sines and products in double.
///
/// The angle of position p is that of the block of 64 positions it stands in plus that of its place there, joined by the addition
/// theorems: two small tables instead of one sine for each position and pair. The error is a few units of double's last place of
/// the angle, as it is when p * frequency is rounded.
class Rope {
 public:
  /// For the positions [first, last]. `head_dim` is the whole width of the rows, options.rope_dim of which turn (0: all).
  Rope(const AttentionOptions& options, std::size_t head_dim, std::int64_t first, std::int64_t last);

  /// Turns a row of head_dim numbers in place; `position` is one of those the tables are for. T is float or double.
  template <class T>
  void rotate(std::int64_t position, T* row) const noexcept;

 private:
  [[nodiscard]] static std::int64_t block_of(std::int64_t position) noexcept;
  void add_angles(std::int64_t position, std::vector<double>& cosine, std::vector<double>& sine) const;

  bool interleaved_;
  std::size_t pairs_;
  std::vector<double> frequency_;
  std::int64_t first_block_;
  std::vector<double> block_cosine_;  ///< [blocks][pairs]
  std::vector<double> block_sine_;
  std::vector<double> place_cosine_;  ///< [64][pairs]
  std::vector<double> place_sine_;
};

}  // namespace attn::engine
