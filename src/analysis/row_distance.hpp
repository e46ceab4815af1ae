// How far two rows of attention weights are apart, by the measures that distillation uses.
#pragma once

#include <span>

namespace attn::analysis {

/// Of a row a (judged) and a row b (right), in float64:
/// kl: sum_j b_j ln(b_j / a_j) in nats (Kullback and Leibler 1951), infinite where a_j is 0 and b_j is not; js: the mean of the
/// divergences of both from their mean (Lin 1991), at most ln 2. Both take each row's shares of its sum, so that what a narrow
/// type rounded off the sum does not count. mse: the mean over the keys of (a_j - b_j)^2; cosine: 1 - a.b / (|a| |b|).
enum class MapMetric { kl, js, mse, cosine };

/// The distance of two rows of numbers from 0 (kl, js) or of any numbers (mse, cosine). Summed from terms that are never negative
/// and vanish with the difference, so that the distance of equal rows is 0 and that of near ones has no rounding of larger
/// numbers in it: kl of b ln(b / a) - b + a, and js of the like, which add up to the same since the rows' shares add up to 1;
/// cosine is half the squared distance of the rows at unit length. Of two rows of zeros it is 0; of one, kl is infinite, js ln 2,
/// cosine 1. A NaN makes it NaN.
[[nodiscard]] double row_distance(MapMetric metric, std::span<const double> a, std::span<const double> b) noexcept;

[[nodiscard]] double sum_of(std::span<const double> row) noexcept;

}  // namespace attn::analysis
