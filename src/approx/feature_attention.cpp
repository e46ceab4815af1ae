// Attention whose weights are products of features: sums over keys, and running sums under a causal mask.
#include "approx/feature_map.hpp"
#include "approx/weight_rows.hpp"
#include "base/groups.hpp"
#include "engine/tiled_workspace.hpp"

#include <algorithm>
#include <vector>

namespace attn::approx {

namespace {

using engine::AlignedArray;
using kernels::kLanes;

/// Keys of which the sums are kept for all queries behind them.
constexpr std::size_t kChunk = 16 * kLanes;

std::size_t whole_blocks(std::size_t keys) { return keys / kLanes * kLanes; }

/// What a thread works in.
template <class T>
struct FeatureSpace {
  FeatureSpace(const engine::Dims& d, std::size_t features, std::size_t panels)
      : key_rows(kLanes * d.head_dim),
        value_rows(kLanes * d.value_dim),
        key_features(panels * kLanes * kLanes),
        values(kLanes * (d.value_dim + 1)),
        query_rows(kLanes * d.head_dim),
        query_space(d.head_dim * kLanes),
        query_features(std::max(features, panels * kLanes) * kLanes),
        state(panels * (d.value_dim + 1) * kLanes),
        products(std::max(kLanes, d.value_dim + 1) * kLanes),
        pairs(kLanes * kLanes),
        out((d.value_dim + 1) * kLanes),
        rows(kLanes * d.value_dim) {}

  AlignedArray<T> key_rows, value_rows;
  AlignedArray<T> key_features;  ///< [panels][keys][features]
  AlignedArray<T> values;        ///< [keys][value_dim + 1]: with a 1 behind each, whose sum is the divisor
  AlignedArray<T> query_rows, query_space;
  AlignedArray<T> query_features;  ///< [features][queries]
  AlignedArray<T> state;           ///< [panels][value_dim + 1][features]: sums over the keys so far
  AlignedArray<T> products, pairs;
  AlignedArray<T> out;  ///< [value_dim + 1][queries]
  AlignedArray<T> rows;
};

template <class T>
class FeatureAttention {
 public:
  FeatureAttention(const Job<T>& job, const FeatureMap<T>& map)
      : job_(job),
        map_(map),
        kernels_(job.execution.isa),
        dims_(job.plan.dims),
        width_(dims_.value_dim + 1),
        state_size_(map.panels() * width_ * kLanes),
        chunks_(groups_of(dims_.kv_len, kChunk)),
        ones_(kLanes) {
    std::fill_n(ones_.get(), kLanes, T(1));
    for (const engine::Observer<T>* observer : job.observers) needs_ |= observer->needs();
  }

  void run() {
    sum_chunks();
    const std::size_t tasks_in_head = groups_of(dims_.q_len, kChunk);
    engine::for_each_task(dims_.batch * dims_.heads * tasks_in_head, job_.execution, [&](std::size_t task) {
      const std::size_t head = task / tasks_in_head;
      const std::size_t first = task % tasks_in_head * kChunk;
      read(head / dims_.heads, head % dims_.heads, first, std::min(first + kChunk, dims_.q_len));
    });
    if (!needs_.columns) return;
    engine::for_each_task(dims_.batch * dims_.heads, job_.execution, [&](std::size_t head) {
      FeatureSpace<T> space(dims_, map_.count(), map_.panels());
      std::vector<T> weights(kLanes * dims_.kv_len);
      for (std::size_t first = 0; first < dims_.q_len; first += kLanes) {
        const std::size_t count = std::min(kLanes, dims_.q_len - first);
        make_queries(space, head / dims_.heads, head % dims_.heads, first, count);
        make_weights(space, head / dims_.heads, head % dims_.heads, first, count, weights.data());
        hand_out_columns(job_, {.batch = head / dims_.heads, .head = head % dims_.heads, .first = first, .count = count},
                         weights.data());
      }
    });
  }

 private:
  /// The state before chunk c of a key/value head; c = chunks_ is after all whole blocks of keys.
  [[nodiscard]] T* prefix(std::size_t b, std::size_t kv_head, std::size_t c) const {
    return prefixes_.get() + ((b * dims_.kv_heads + kv_head) * (chunks_ + 1) + c) * state_size_;
  }

  /// Features and values of keys [first, first + count) of a key/value head.
  void make_keys(FeatureSpace<T>& s, std::size_t b, std::size_t kv_head, std::size_t first, std::size_t count) const {
    map_.keys(b, kv_head, job_.operands.key.rows(b, kv_head, first, count, s.key_rows.get()), count, s.key_features.get());
    const engine::RowSpan<T> values = job_.operands.value.rows(b, kv_head, first, count, s.value_rows.get());
    for (std::size_t j = 0; j < count; ++j) {
      std::copy_n(values.data + j * values.stride, dims_.value_dim, s.values.get() + j * width_);
      s.values.get()[j * width_ + dims_.value_dim] = T(1);
    }
  }

  /// state += the sums over a block of keys.
  void fold(FeatureSpace<T>& s, std::size_t b, std::size_t kv_head, std::size_t first, T* state) const {
    make_keys(s, b, kv_head, first, kLanes);
    for (std::size_t p = 0; p < map_.panels(); ++p)
      kernels_.table.value_product(s.key_features.get() + p * kLanes * kLanes, s.values.get(), width_, kLanes, width_, kLanes,
                                   ones_.get(), state + p * width_ * kLanes, {});
  }

  /// The sums of all chunks, then of all chunks before each.
  void sum_chunks() {
    prefixes_ = AlignedArray<T>(dims_.batch * dims_.kv_heads * (chunks_ + 1) * state_size_);
    engine::for_each_task(dims_.batch * dims_.kv_heads * chunks_, job_.execution, [&](std::size_t task) {
      const std::size_t head = task / chunks_;
      const std::size_t c = task % chunks_;
      const std::size_t b = head / dims_.kv_heads;
      FeatureSpace<T> space(dims_, map_.count(), map_.panels());
      const std::size_t end = std::min((c + 1) * kChunk, whole_blocks(job_.plan.key_length[b]));
      for (std::size_t first = c * kChunk; first < end; first += kLanes)
        fold(space, b, head % dims_.kv_heads, first, prefix(b, head % dims_.kv_heads, c + 1));
    });
    for (std::size_t b = 0; b < dims_.batch; ++b) {
      for (std::size_t h = 0; h < dims_.kv_heads; ++h) {
        for (std::size_t c = 1; c <= chunks_; ++c) {
          const T* before = prefix(b, h, c - 1);
          T* sum = prefix(b, h, c);
          for (std::size_t i = 0; i < state_size_; ++i) sum[i] += before[i];
        }
      }
    }
  }

  void make_queries(FeatureSpace<T>& s, std::size_t b, std::size_t h, std::size_t first, std::size_t count) const {
    map_.queries(job_.operands.query.rows(b, h, first, count, s.query_rows.get()), count, s.query_space.get(),
                 s.query_features.get());
  }

  /// sum[j][i] = the sum over features of left[panel][j][.] * query features, for `rows` rows.
  void multiply(FeatureSpace<T>& s, const T* left, std::size_t panel_size, std::size_t rows, T* sum) const {
    for (std::size_t p = 0; p < map_.panels(); ++p) {
      const std::size_t features = std::min(kLanes, map_.count() - p * kLanes);
      T* const out = p == 0 ? sum : s.products.get();
      kernels_.table.score_product(left + p * panel_size, kLanes, rows, features, s.query_features.get() + p * kLanes * kLanes,
                                   kLanes, out, nullptr, {});
      if (p == 0) continue;
      for (std::size_t i = 0; i < rows * kLanes; ++i) sum[i] += out[i];
    }
  }

  /// Products of the queries' features with those of a block of keys, 0 where a query does not see a key: pairs[j][i].
  void make_pairs(FeatureSpace<T>& s, std::size_t b, std::size_t first, std::size_t count, std::size_t key,
                  std::size_t keys) const {
    multiply(s, s.key_features.get(), kLanes * kLanes, keys, s.pairs.get());
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::size_t end = i < count ? job_.plan.range(b, first + i).end : 0;
      for (std::size_t j = end <= key ? 0 : end - key; j < keys; ++j) s.pairs.get()[j * kLanes + i] = T(0);
    }
  }

  /// Queries [first, last) of one head.
  void read(std::size_t b, std::size_t h, std::size_t first, std::size_t last) {
    const std::size_t kv_head = dims_.kv_head(h);
    FeatureSpace<T> s(dims_, map_.count(), map_.panels());
    std::vector<T> weights(wants_rows() ? kLanes * dims_.kv_len : 0);
    const std::size_t all = whole_blocks(job_.plan.key_length[b]);
    constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
    std::size_t folded = nowhere;
    for (std::size_t block = first; block < last; block += kLanes) {
      engine::stop_if_cancelled(job_.execution);
      const std::size_t count = std::min(kLanes, last - block);
      std::size_t least = job_.plan.range(b, block).end;
      std::size_t most = least;
      for (std::size_t i = block; i < block + count; ++i) {
        least = std::min(least, job_.plan.range(b, i).end);
        most = std::max(most, job_.plan.range(b, i).end);
      }
      const std::size_t target = whole_blocks(least);
      // Sums that are there are taken; the blocks behind them are added.
      if (folded == nowhere || target / kChunk != folded / kChunk || target == all) {
        const std::size_t chunk = target == all ? chunks_ : target / kChunk;
        if (folded != target) std::copy_n(prefix(b, kv_head, chunk), state_size_, s.state.get());
        folded = target == all ? all : chunk * kChunk;
      }
      for (; folded < target; folded += kLanes) fold(s, b, kv_head, folded, s.state.get());
      make_queries(s, b, h, block, count);
      multiply(s, s.state.get(), width_ * kLanes, width_, s.out.get());
      for (std::size_t key = target; key < most; key += kLanes) {
        const std::size_t keys = std::min(kLanes, most - key);
        make_keys(s, b, kv_head, key, keys);
        make_pairs(s, b, block, count, key, keys);
        kernels_.table.value_product(s.pairs.get(), s.values.get(), width_, keys, width_, kLanes, ones_.get(), s.out.get(), {});
      }
      hand_out(s, b, h, block, count, weights);
    }
  }

  [[nodiscard]] bool wants_rows() const noexcept { return needs_.weights || needs_.notes(); }

  void hand_out(FeatureSpace<T>& s, std::size_t b, std::size_t h, std::size_t first, std::size_t count, std::vector<T>& weights) {
    kernels_.table.store_rows(s.out.get(), s.out.get() + dims_.value_dim * kLanes, count, dims_.value_dim, s.rows.get(),
                              dims_.value_dim);
    if (wants_rows()) make_weights(s, b, h, first, count, weights.data());
    hand_out_rows(job_, needs_, {.batch = b, .head = h, .first = first, .count = count}, s.rows.get(),
                  wants_rows() ? weights.data() : nullptr);
  }

  /// weights[i][j] of queries whose features are made.
  void make_weights(FeatureSpace<T>& s, std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* weights) const {
    const std::size_t kv_head = dims_.kv_head(h);
    const std::size_t keys_there = job_.plan.key_length[b];
    std::fill_n(weights, count * dims_.kv_len, T(0));
    std::vector<double> sums(count, 0);
    for (std::size_t key = 0; key < keys_there; key += kLanes) {
      const std::size_t keys = std::min(kLanes, keys_there - key);
      make_keys(s, b, kv_head, key, keys);
      make_pairs(s, b, first, count, key, keys);
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < keys; ++j) {
          const T weight = s.pairs.get()[j * kLanes + i];
          weights[i * dims_.kv_len + key + j] = weight;
          sums[i] += static_cast<double>(weight);
        }
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t j = 0; j < keys_there; ++j) {
        T& weight = weights[i * dims_.kv_len + j];
        weight = sums[i] == 0 ? T(0) : static_cast<T>(static_cast<double>(weight) / sums[i]);
      }
    }
  }

  const Job<T>& job_;
  const FeatureMap<T>& map_;
  FeatureKernels<T> kernels_;
  engine::Dims dims_;
  std::size_t width_;       ///< of a value and the 1 behind it
  std::size_t state_size_;  ///< numbers of one state
  std::size_t chunks_;
  AlignedArray<T> ones_;
  AlignedArray<T> prefixes_;  ///< [batch, kv_heads, chunks + 1, state]
  engine::Needs needs_;
};

}  // namespace

template <class T>
void run_features(const Job<T>& job, const FeatureMap<T>& map) {
  FeatureAttention<T>(job, map).run();
}

template void run_features(const Job<float>&, const FeatureMap<float>&);
template void run_features(const Job<double>&, const FeatureMap<double>&);

Cost feature_cost(const engine::Plan& plan, std::size_t features, double map_flops, const Means& means) {
  const engine::Dims& d = plan.dims;
  const std::size_t panels = groups_of(features, kLanes);
  const std::size_t state = panels * (d.value_dim + 1) * kLanes;
  const std::size_t chunks = groups_of(d.kv_len, kChunk);
  const std::size_t space = kLanes * (2 * panels * kLanes + 3 * d.head_dim + 5 * (d.value_dim + 1) + kLanes) + state;
  const double keys = static_cast<double>(d.batch * d.kv_heads * d.kv_len);
  const double queries = static_cast<double>(d.batch * d.heads * d.q_len);
  const double sums = 2 * static_cast<double>(features * (d.value_dim + 1));
  return {.flops = (keys + queries) * (sums + map_flops),
          .bytes = (d.batch * d.kv_heads * (chunks + 1) * state + means.threads * space) * item_size(means.type)};
}

std::string feature_refusal(const engine::Plan& plan) {
  const AttentionOptions& o = plan.options;
  if (o.normalize != Normalizer::softmax) return "it stands for the exponentials of softmax, and --normalize is another";
  if (o.score == Score::euclidean) return "no features are known for the Euclidean distance; its square (sqeuclidean) has some";
  if (o.softcap != 0) return "a capped score (--softcap) is no product of a query's and a key's features";
  if (!plan.masks.empty() || !plan.segments.empty())
    return "masks, biases and segments are of single pairs, and it computes none";
  if (!plan.slopes.empty()) return "ALiBi is added to single pairs, and it computes none";
  if (o.window.left || o.window.right) return "its running sums hold all keys from the first on, and --window drops some";
  return "";
}

}  // namespace attn::approx
