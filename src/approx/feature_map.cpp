// elu + 1, and positive orthogonal random features.
#include "approx/feature_map.hpp"

#include "analysis/generate.hpp"
#include "analysis/orthogonal.hpp"
#include "base/groups.hpp"
#include "engine/tiled_workspace.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attn::approx {

namespace {

using kernels::kLanes;

/// What a score is to q k: the factor of the product, and of |k|^2.
struct Exponent {
  double product = 1;
  double key_norm = 0;
};

Exponent exponent_of(const engine::Plan& plan) {
  if (plan.options.score == Score::sqeuclidean) return {.product = 2 * plan.factor, .key_norm = -plan.factor};
  return {.product = plan.factor, .key_norm = 0};
}

template <class T>
double squared_norm(const T* row, std::size_t dim) {
  double sum = 0;
  for (std::size_t f = 0; f < dim; ++f) sum += static_cast<double>(row[f]) * static_cast<double>(row[f]);
  return sum;
}

/// Largest of score(first key, keys, rows) over the blocks of keys that any query sees, for each key/value head; 0 where there
/// are none.
template <class T, class Body>
std::vector<double> largest_in_heads(const Job<T>& job, const Body& largest) {
  const engine::Dims& d = job.plan.dims;
  const std::size_t blocks = groups_of(d.kv_len, kLanes);
  constexpr double none = -std::numeric_limits<double>::infinity();
  std::vector<double> found(d.batch * d.kv_heads * blocks, none);
  engine::for_each_task(found.size(), job.execution, [&](std::size_t task) {
    const std::size_t head = task / blocks;
    const std::size_t first = task % blocks * kLanes;
    const std::size_t b = head / d.kv_heads;
    if (first >= job.plan.key_length[b]) return;
    const std::size_t count = std::min(kLanes, job.plan.key_length[b] - first);
    std::vector<T> space(count * d.head_dim);
    const engine::RowSpan<T> rows = job.operands.key.rows(b, head % d.kv_heads, first, count, space.data());
    found[task] = largest(rows, count);
  });
  std::vector<double> heads(d.batch * d.kv_heads, 0);
  for (std::size_t head = 0; head < heads.size() && blocks > 0; ++head) {
    const double most = *std::max_element(found.begin() + static_cast<std::ptrdiff_t>(head * blocks),
                                          found.begin() + static_cast<std::ptrdiff_t>((head + 1) * blocks));
    heads[head] = std::isfinite(most) ? most : 0;
  }
  return heads;
}

template <class T>
class EluMap : public FeatureMap<T> {
 public:
  explicit EluMap(const Job<T>& job)
      : kernels_(job.execution.isa), dims_(job.plan.dims), key_norm_(exponent_of(job.plan).key_norm) {
    if (key_norm_ == 0) return;
    shift_ = largest_in_heads(job, [this](const engine::RowSpan<T>& rows, std::size_t count) {
      double most = -std::numeric_limits<double>::infinity();
      for (std::size_t j = 0; j < count; ++j)
        most = std::max(most, key_norm_ * squared_norm(rows.data + j * rows.stride, dims_.head_dim));
      return most;
    });
  }

  [[nodiscard]] std::size_t count() const noexcept override { return dims_.head_dim; }

  void queries(const engine::RowSpan<T>& rows, std::size_t queries, T* /*space*/, T* out) const override {
    kernels_.table.load_queries(rows.data, rows.stride, queries, dims_.head_dim, T(1), out);
    map(out, dims_.head_dim * kLanes);
  }

  void keys(std::size_t batch, std::size_t kv_head, const engine::RowSpan<T>& rows, std::size_t keys, T* out) const override {
    for (std::size_t p = 0; p < this->panels(); ++p) {
      const std::size_t width = std::min(kLanes, dims_.head_dim - p * kLanes);
      T* panel = out + p * kLanes * kLanes;
      for (std::size_t j = 0; j < keys; ++j) {
        std::copy_n(rows.data + j * rows.stride + p * kLanes, width, panel + j * kLanes);
        std::fill(panel + j * kLanes + width, panel + (j + 1) * kLanes, T(0));
      }
      map(panel, keys * kLanes);
    }
    if (key_norm_ == 0) return;
    const double shift = shift_[batch * dims_.kv_heads + kv_head];
    T factors[kLanes];
    for (std::size_t j = 0; j < keys; ++j)
      factors[j] = static_cast<T>(key_norm_ * squared_norm(rows.data + j * rows.stride, dims_.head_dim) - shift);
    kernels_.steps.exponential(factors, keys);
    for (std::size_t p = 0; p < this->panels(); ++p)
      for (std::size_t j = 0; j < keys; ++j)
        for (std::size_t f = 0; f < kLanes; ++f) out[(p * kLanes + j) * kLanes + f] *= factors[j];
  }

 private:
  /// x + 1 above 0, e^x below.
  void map(T* x, std::size_t count) const {
    constexpr std::size_t piece = 1024;
    T above[piece];
    for (std::size_t first = 0; first < count; first += piece) {
      const std::size_t size = std::min(piece, count - first);
      T* at = x + first;
      // A NaN stays in what the exponential is taken of.
      for (std::size_t i = 0; i < size; ++i) above[i] = at[i] > 0 ? at[i] : T(0);
      for (std::size_t i = 0; i < size; ++i) at[i] = at[i] > 0 ? T(0) : at[i];
      kernels_.steps.exponential(at, size);
      for (std::size_t i = 0; i < size; ++i) at[i] += above[i];
    }
  }

  FeatureKernels<T> kernels_;
  engine::Dims dims_;
  double key_norm_;
  std::vector<double> shift_;  ///< [batch, kv_heads]: the largest exponent of a key's factor
};

template <class T>
class RandomMap : public FeatureMap<T> {
 public:
  RandomMap(const Job<T>& job, std::size_t count, std::uint64_t seed)
      : kernels_(job.execution.isa), dims_(job.plan.dims), exponent_(exponent_of(job.plan)), count_(count) {
    const std::vector<double> directions = orthogonal_normals(count, dims_.head_dim, seed);
    const double root = std::sqrt(std::abs(exponent_.product));
    directions_.reserve(directions.size());
    for (const double w : directions) directions_.push_back(static_cast<T>(w));
    panels_.reserve(this->panels() * dims_.head_dim * kLanes);
    for (std::size_t p = 0; p < this->panels(); ++p)
      kernels_.table.load_queries(directions_.data() + p * kLanes * dims_.head_dim, dims_.head_dim,
                                  std::min(kLanes, count - p * kLanes), dims_.head_dim, static_cast<T>(root),
                                  panels_.get() + p * dims_.head_dim * kLanes);
    shift_ = largest_in_heads(job, [this](const engine::RowSpan<T>& rows, std::size_t keys) {
      engine::AlignedArray<T> tile(kLanes * kLanes);
      double most = -std::numeric_limits<double>::infinity();
      for (std::size_t p = 0; p < this->panels(); ++p) {
        exponents(p, rows, keys, 0, tile.get());
        const std::size_t width = std::min(kLanes, count_ - p * kLanes);
        for (std::size_t j = 0; j < keys; ++j)
          for (std::size_t r = 0; r < width; ++r) most = std::max(most, static_cast<double>(tile.get()[j * kLanes + r]));
      }
      return most;
    });
  }

  [[nodiscard]] std::size_t count() const noexcept override { return count_; }

  void queries(const engine::RowSpan<T>& rows, std::size_t queries, T* space, T* out) const override {
    const double root = std::sqrt(std::abs(exponent_.product));
    kernels_.table.load_queries(rows.data, rows.stride, queries, dims_.head_dim,
                                static_cast<T>(exponent_.product < 0 ? -root : root), space);
    kernels_.table.score_product(directions_.data(), dims_.head_dim, count_, dims_.head_dim, space, kLanes, out, nullptr, {});
    // exp(-|q|^2 / 2) cancels, and so does what keeps the exponential within its range.
    T largest[kLanes];
    std::copy_n(out, kLanes, largest);
    for (std::size_t r = 1; r < count_; ++r)
      for (std::size_t i = 0; i < kLanes; ++i) largest[i] = std::max(largest[i], out[r * kLanes + i]);
    for (std::size_t r = 0; r < count_; ++r)
      for (std::size_t i = 0; i < kLanes; ++i) out[r * kLanes + i] -= largest[i];
    kernels_.steps.exponential(out, count_ * kLanes);
  }

  void keys(std::size_t batch, std::size_t kv_head, const engine::RowSpan<T>& rows, std::size_t keys, T* out) const override {
    for (std::size_t p = 0; p < this->panels(); ++p) {
      T* panel = out + p * kLanes * kLanes;
      exponents(p, rows, keys, shift_[batch * dims_.kv_heads + kv_head], panel);
      kernels_.steps.exponential(panel, keys * kLanes);
    }
  }

 private:
  /// w k - |k|^2 / 2, and the key's own part of the score, less `shift`.
  void exponents(std::size_t p, const engine::RowSpan<T>& rows, std::size_t keys, double shift, T* panel) const {
    kernels_.table.score_product(rows.data, rows.stride, keys, dims_.head_dim, panels_.get() + p * dims_.head_dim * kLanes,
                                 kLanes, panel, nullptr, {});
    for (std::size_t j = 0; j < keys; ++j) {
      const double norm = squared_norm(rows.data + j * rows.stride, dims_.head_dim);
      const auto own = static_cast<T>((exponent_.key_norm - std::abs(exponent_.product) / 2) * norm - shift);
      for (std::size_t r = 0; r < kLanes; ++r) panel[j * kLanes + r] += own;
    }
  }

  FeatureKernels<T> kernels_;
  engine::Dims dims_;
  Exponent exponent_;
  std::size_t count_;
  std::vector<T> directions_;       ///< [count][head_dim]
  engine::AlignedArray<T> panels_;  ///< the same times the root of the factor, [panels][head_dim][kLanes]
  std::vector<double> shift_;       ///< [batch, kv_heads]: the largest exponent of a key's feature
};

template <class T>
const kernels::KernelTable<T>& table_for(const std::string& isa) {
  const std::string name = engine::selected_isa(isa);
  const auto tables = kernels::available<T>();
  return **std::ranges::find(tables, name, [](const auto* table) { return table->isa; });
}

}  // namespace

template <class T>
FeatureKernels<T>::FeatureKernels(const std::string& isa)
    : table(table_for<T>(isa)), steps(kernels::recurrence_kernels<T>(engine::selected_isa(isa))) {}

template struct FeatureKernels<float>;
template struct FeatureKernels<double>;

std::vector<double> orthogonal_normals(std::size_t count, std::size_t dim, std::uint64_t seed) {
  // Inputs may well have been drawn from the same seed, and must not be what they are multiplied with.
  const std::uint64_t own_seed = seed ^ 0xA5F0'0DD5'EED0'0001U;
  const std::size_t groups = groups_of(count, dim);
  const Array drawn = analysis::generate(
      {.kind = analysis::Kind::normal, .shape = {2, groups * dim, dim}, .seed = own_seed, .dtype = DType::f64});
  const auto normals = drawn.values<double>();
  std::vector<double> rows(normals.begin(), normals.begin() + static_cast<std::ptrdiff_t>(groups * dim * dim));
  for (std::size_t g = 0; g < groups; ++g) analysis::orthogonalize(std::span(rows).subspan(g * dim * dim, dim * dim), dim, dim);
  for (std::size_t r = 0; r < groups * dim; ++r) {
    const double length = std::sqrt(squared_norm(normals.data() + (groups * dim + r) * dim, dim));
    for (std::size_t f = 0; f < dim; ++f) rows[r * dim + f] *= length;
  }
  rows.resize(count * dim);
  return rows;
}

template <class T>
std::unique_ptr<FeatureMap<T>> elu_features(const Job<T>& job) {
  return std::make_unique<EluMap<T>>(job);
}

template <class T>
std::unique_ptr<FeatureMap<T>> random_features(const Job<T>& job, std::size_t count, std::uint64_t seed) {
  return std::make_unique<RandomMap<T>>(job, count, seed);
}

template std::unique_ptr<FeatureMap<float>> elu_features(const Job<float>&);
template std::unique_ptr<FeatureMap<double>> elu_features(const Job<double>&);
template std::unique_ptr<FeatureMap<float>> random_features(const Job<float>&, std::size_t, std::uint64_t);
template std::unique_ptr<FeatureMap<double>> random_features(const Job<double>&, std::size_t, std::uint64_t);

}  // namespace attn::approx
