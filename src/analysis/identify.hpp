// Which convention made an output: a search over deviations and pairs of them, first on a few rows, then on all.
#pragma once

#include "analysis/convention.hpp"
#include "analysis/deviations.hpp"
#include "analysis/verify.hpp"
#include "engine/engine.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace attn::analysis {

/// What the conventions are held against. Null for what is not claimed.
struct ClaimedRun {
  const ClaimedArray* output = nullptr;
  const ClaimedArray* weights = nullptr;
};

/// How far a claim may be from the convention that made it.
struct Likeness {
  double relative = 1e-3;          ///< root mean square of the differences over that of the claim
  std::optional<double> absolute;  ///< instead of it: the largest difference
};

/// How well a convention fits.
struct Misfit {
  std::size_t elements = 0;
  double squares = 0;        ///< of the differences
  double claim_squares = 0;  ///< of the claim
  double largest = 0;        ///< difference; infinity where a number meets a NaN

  void add(const Misfit& other) noexcept;
  [[nodiscard]] double root_mean_square() const noexcept;
  /// Root mean square of the differences over that of the claim; infinity for a NaN and for a claim of zeros that differs.
  [[nodiscard]] double relative() const noexcept;
};

struct Candidate {
  std::vector<std::size_t> deviations;  ///< numbers in Identification::deviations, ascending; none: what was asked for
  Misfit misfit;
  bool is_confirmed = false;  ///< on all rows, not on a few
  bool fits = false;
};

struct Identification {
  std::vector<Deviation> deviations;         ///< that have a meaning here
  std::vector<Candidate> candidates;         ///< the nearest first
  std::optional<Candidate> best;             ///< the simplest of those that fit best
  std::vector<Candidate> indistinguishable;  ///< others that fit as well as the best and are as simple
  std::size_t tried = 0;
};

/// Searches. The number of deviations at once is at most two. The result does not depend on threads.
[[nodiscard]] Identification identify(const Convention& asked, const ClaimedRun& claim, const Likeness& likeness,
                                      const engine::Execution& execution);

}  // namespace attn::analysis
