// What a plan means for the tiled engine: which units logits have, and which stages stand between score and logit.
#pragma once

#include "engine/plan.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <numbers>
#include <string>

namespace attn::engine {

/// The kernels for `isa`, or for the best target when it is empty. Throws as selected_isa() does.
template <class T>
[[nodiscard]] const kernels::KernelTable<T>& kernels_for(const std::string& isa);

template <class T>
struct TiledSettings {
  explicit TiledSettings(const Plan& plan);

  [[nodiscard]] bool is_double() const noexcept { return normalize == Normalizer::double_softmax; }
  /// Weights are exponentials over their running sum.
  [[nodiscard]] bool is_online() const noexcept {
    return normalize == Normalizer::softmax || normalize == Normalizer::softmin || normalize == Normalizer::softmax1;
  }

  Normalizer normalize;
  bool distance;   ///< the raw tile is a squared distance, not a product
  bool natural;    ///< logits are natural; else log2(e) is in the query's factor and exp is exp2 without a multiplication
  bool plain;      ///< the raw tile holds the logits, if masks and range leave it open
  bool selects;    ///< masks only hide, so that bits will do; where logits are the weights, adding 0 makes 0 of -0, and is done
  T query_factor;  ///< multiplied into the transposed queries
  T score_factor;  ///< the same for raw scores, which are always natural
  kernels::LogitStage<T> scores;  ///< raw tile to scale-and-temperature stage
  T cap;
};

template <class T>
TiledSettings<T>::TiledSettings(const Plan& plan) : normalize(plan.options.normalize), cap(static_cast<T>(plan.options.softcap)) {
  const Score score = plan.options.score;
  distance = score == Score::euclidean || score == Score::sqeuclidean;
  // A product takes the factor with the query, for nothing; a clamp or a root must come before it.
  const bool folds = score == Score::dot || score == Score::scaled;
  const bool exponential = normalize == Normalizer::softmax || normalize == Normalizer::softmax1 || is_double();
  natural = !(folds && exponential && cap == 0 && !plan.has_bias());
  plain = folds && cap == 0 && plan.slopes.empty() && (normalize == Normalizer::softmax || is_double());
  const auto adds = [](const MaskPart& part) { return part.kind == MaskKind::add; };
  selects = plan.may_hide() && plan.slopes.empty() && normalize != Normalizer::none && std::ranges::none_of(plan.masks, adds);
  score_factor = folds ? static_cast<T>(plan.factor) : T(1);
  query_factor = natural ? score_factor : static_cast<T>(plan.factor * std::numbers::log2e);
  scores.clamp = score == Score::cosine;
  scores.root = score == Score::euclidean;
  scores.factor = folds ? T(1) : static_cast<T>(distance ? -plan.factor : plan.factor);
}

}  // namespace attn::engine
