// Block-sparse attention: blocks of queries see the tiles of keys whose estimated mass is largest.
#include "approx/method.hpp"
#include "engine/blocks.hpp"
#include "engine/tile_choice.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace attn::approx {

namespace {

std::size_t tiles_of(const Setting& setting) { return static_cast<std::size_t>(setting[0]); }

Cost block_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  const engine::Dims& d = plan.dims;
  const auto all = static_cast<double>(engine::tile_count(d.kv_len));
  const double queries = static_cast<double>(d.batch) * static_cast<double>(d.heads) * static_cast<double>(d.q_len);
  const double exact = exact_flops(plan);
  const bool is_exact = setting[0] >= all;
  const double kept =
      all == 0 ? 0
               : 2 * queries * setting[0] * static_cast<double>(d.kv_len) / all * static_cast<double>(d.head_dim + d.value_dim);
  const std::size_t item = means.type == DType::f64 ? sizeof(double) : sizeof(float);
  return {.flops = is_exact ? exact : std::min(exact, kept) + 2 * queries * all * static_cast<double>(d.head_dim),
          .bytes = tiled_bytes(plan, means) + (is_exact ? 0 : engine::choice_bytes(d, item, means.threads))};
}

/// The plan of some queries, each seeing the tiles that its block among all queries keeps.
template <class T>
engine::Plan with_choice(const Job<T>& job, std::size_t tiles) {
  const engine::Dims& d = job.plan.dims;
  const engine::BlockMap::Layer layer = engine::choose_tiles(job.whole, job.whole_operands, job.execution, tiles);
  engine::MaskPart part{.kind = engine::MaskKind::keep,
                        .array = Array(DType::boolean, {d.batch, d.heads, d.q_len, d.kv_len}),
                        .stride = {d.heads * d.q_len * d.kv_len, d.q_len * d.kv_len, d.kv_len, 1},
                        .key_count = d.kv_len};
  bool* to = part.array.template mutable_values<bool>().data();
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t i = 0; i < d.q_len; ++i) {
        // Where the query stands among all.
        std::size_t at = job.plan.chosen[i];
        if (const auto& chosen = job.whole.chosen; !chosen.empty())
          at = static_cast<std::size_t>(std::ranges::lower_bound(chosen, at) - chosen.begin());
        for (std::size_t j = 0; j < d.kv_len; ++j)
          *to++ = layer.at(b, h, at / engine::most_queries, j / kernels::kKeys) == engine::Cover::open;
      }
  engine::Plan plan = job.plan;
  plan.masks.push_back(std::move(part));
  return plan;
}

template <class T>
void run_block(const Job<T>& job, const Setting& setting) {
  const std::size_t tiles = tiles_of(setting);
  if (&job.whole == &job.plan || tiles >= engine::tile_count(job.plan.dims.kv_len))
    return engine::run_chosen<T>(job.plan, job.operands, job.observers, job.execution, tiles);
  engine::run_tiled<T>(with_choice(job, tiles), job.operands, job.observers, job.execution);
}

}  // namespace

const Method& block_method() {
  static const Method method{.name = "block",
                             .summary = "for each 64 queries the tiles of 96 keys that probably hold most of their weights",
                             .parameters = {{.name = "TILES",
                                             .fallback = 16,
                                             .least = 1,
                                             .most = 0x1p32,
                                             .meaning = "tiles of 96 keys that 64 queries in a row keep"}},
                             .offers = kOffersOfTiles,
                             .refusal = [](const engine::Plan& plan, const Setting&) { return engine::choice_refusal(plan); },
                             .cost = block_cost,
                             .settings =
                                 [](const engine::Plan& plan, const Setting& given) {
                                   return rising_settings(given, 1,
                                                          std::max<std::size_t>(engine::tile_count(plan.dims.kv_len), 1));
                                 },
                             .run_f32 = run_block<float>,
                             .run_f64 = run_block<double>};
  return method;
}

}  // namespace attn::approx
