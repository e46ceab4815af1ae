// Features of queries and keys whose products stand for the exponential of a score.
#pragma once

#include "approx/method.hpp"
#include "base/groups.hpp"
#include "kernels/kernels.hpp"
#include "kernels/recurrence.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace attn::approx {

/// The kernels of one vector target.
template <class T>
struct FeatureKernels {
  explicit FeatureKernels(const std::string& isa);
  const kernels::KernelTable<T>& table;
  const kernels::RecurrenceKernels<T>& steps;
};

/// phi_q and phi_k, in tiles of kLanes. Constants that all keys of a head, or all features of a query share are left out of
/// them: they cancel when sums are divided. T is float or double.
template <class T>
class FeatureMap {
 public:
  FeatureMap() = default;
  FeatureMap(const FeatureMap&) = delete;
  FeatureMap& operator=(const FeatureMap&) = delete;
  virtual ~FeatureMap() = default;

  [[nodiscard]] virtual std::size_t count() const noexcept = 0;
  [[nodiscard]] std::size_t panels() const noexcept { return groups_of(count(), kernels::kLanes); }
  /// Features of up to kLanes queries, [count()][kLanes]. `space` holds head_dim * kLanes numbers.
  virtual void queries(const engine::RowSpan<T>& rows, std::size_t queries, T* space, T* out) const = 0;
  /// Features of up to kLanes keys of one key/value head, panel by panel: [panels()][kLanes keys][kLanes features]. What is
  /// behind the last feature may hold anything.
  virtual void keys(std::size_t batch, std::size_t kv_head, const engine::RowSpan<T>& rows, std::size_t keys, T* out) const = 0;
};

/// elu(x) + 1 of every number of a query and a key (Katharopoulos et al. 2020, eq. 7). With sqeuclidean scores a key's features
/// are multiplied by exp(-scale |k|^2), its own factor of the Gaussian exp(-scale |q - k|^2); there the map stands for what is
/// left, exp(2 scale q k).
template <class T>
[[nodiscard]] std::unique_ptr<FeatureMap<T>> elu_features(const Job<T>& job);

/// exp(w x - |x|^2 / 2) for `count` random directions w (Choromanski et al. 2021, FAVOR+): the expectation of a product of two is
/// exp(q k). x are queries and keys times the root of the score's factor; for sqeuclidean scores of twice that, with the
/// Gaussian's own factors of the keys.
template <class T>
[[nodiscard]] std::unique_ptr<FeatureMap<T>> random_features(const Job<T>& job, std::size_t count, std::uint64_t seed);

/// `count` rows of `dim` numbers, each distributed like independent standard normal ones; within each group of `dim` rows they
/// are at right angles (Choromanski et al. 2021, section 2.4). The same numbers on every machine.
[[nodiscard]] std::vector<double> orthogonal_normals(std::size_t count, std::size_t dim, std::uint64_t seed);

/// What a key's features cost and hold: for Cost.
[[nodiscard]] Cost feature_cost(const engine::Plan& plan, std::size_t features, double map_flops, const Means& means);

/// Why sums over keys cannot stand for this plan's attention; empty: they can.
[[nodiscard]] std::string feature_refusal(const engine::Plan& plan);

/// Attention with weights phi_q(i) phi_k(j) / sum_j', over keys from the first to the last that a query sees.
template <class T>
void run_features(const Job<T>& job, const FeatureMap<T>& map);

}  // namespace attn::approx
