// The option table of `attn layer`: its own rows, and those of attn run that a layer takes.
#include "request/layer_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace attn::request {

namespace {

using Layer = LayerRequest;

constexpr const char* kLayer = "Layer";

/// What attn run has and a layer does not: it is self-attention with a residual of its own, and no cache.
constexpr std::array<std::string_view, 13> kNotOfLayers{"query",    "key",      "value",      "key-ids",     "combine",
                                                        "residual", "past-key", "past-value", "present-key", "present-value",
                                                        "quiet",    "verbose",  "help"};

void add_layer_rows(Table<Layer>& t) {
  t.push_back(row<Layer>(
      {.name = "layers",
       .metavar = "A..B",
       .group = kLayer,
       .help = "layers to run one after the other: 0..5, or 3, or 0..2,5",
       .details =
           "Their numbers go behind --params-prefix, or in the place of {} in it. In the names of files for "
           "weights, scores and log-sum-exps, {} stands for the number of the layer; one NPZ or safetensors "
           "file holds an array for each layer: layer0, layer1. A norm that a model has behind its last layer is not applied."},
      [](auto& s) -> auto& { return s.layers; }));
  t.push_back(
      row<Layer>({.name = "norm",
                  .metavar = "WHERE",
                  .group = kLayer,
                  .help = "normalize the sum with what comes out of a part, or what goes into it (default: by the names)"},
                 [](auto& s) -> auto& { return s.norm; }));
  t.push_back(row<Layer>({.name = "norm-eps",
                          .metavar = "X",
                          .group = kLayer,
                          .help = "added to the variance (default: config.json, or by the names)"},
                         [](auto& s) -> auto& { return s.norm_epsilon; }));
  t.push_back(row<Layer>({.name = "activation",
                          .metavar = "KIND",
                          .group = kLayer,
                          .help = "function of the feed-forward network (default: config.json, or by the names)"},
                         [](auto& s) -> auto& { return s.activation; }));
  t.push_back(row<Layer>({.name = "bidirectional",
                          .group = kLayer,
                          .help = "let queries see later keys, also where the names are those of a causal model"},
                         [](auto& s) -> auto& { return s.bidirectional; }));
  t.push_back(
      row<Layer>({.name = "memory",
                  .metavar = "F",
                  .group = kLayer,
                  .help = "what the cross-attention of a decoder layer looks at: [length, dim] or [batch, length, dim]",
                  .details = "PyTorch's decoder layers are given their mask when they are called: --causal hides later rows."},
                 [](auto& s) -> auto& { return s.memory; }));
  t.push_back(row<Layer>({.name = "memory-lengths",
                          .metavar = "LIST|F",
                          .group = kLayer,
                          .help = "rows of the memory that exist in each batch entry; the rest is padding"},
                         [](auto& s) -> auto& { return s.memory_lengths; }));
  t.push_back(row<Layer>(
      {.name = "cross-weights", .metavar = "F", .group = kLayer, .help = "the weights of the cross-attention", .writes = true},
      [](auto& s) -> auto& { return s.cross_weights; }));
  t.push_back(
      row<Layer>({.name = "rollout",
                  .metavar = "F",
                  .group = kLayer,
                  .help = "where each row that comes out comes from, through all layers: [length, length]",
                  .details = "Attention rollout (Abnar and Zuidema 2020): the product over the layers of (A + 1) / 2, where A is "
                             "the mean of the weights over the heads, with rows scaled to sum 1.",
                  .writes = true},
                 [](auto& s) -> auto& { return s.rollout; }));
}

/// A row of attn run that also notes that it was given.
Row<Layer> row_of_run(const Row<RunRequest>& r) {
  Row<Layer> result{.option = r.option,
                    .set =
                        [set = r.set, name = r.option.name](Layer& s, const std::string& text) {
                          set(s.run, text);
                          s.given.insert(name);
                        },
                    .get = [get = r.get](const Layer& s) { return get(s.run); }};
  if (r.option.name == "X") result.option.help = "the rows that go in: [length, dim] or [batch, length, dim]";
  if (r.option.name == "rope") result.option.fallback = "by the names";
  if (r.option.name == "causal") result.option.details = "The default where the names are those of a causal model.";
  if (r.option.name == "key-lengths")
    result.option.help = "rows that exist in each batch entry; the rest is padding, which real rows never see";
  return result;
}

std::size_t number_of(const std::string& text, std::string_view piece) {
  std::size_t number = 0;
  const auto [stop, error] = std::from_chars(piece.data(), piece.data() + piece.size(), number);
  constexpr std::size_t largest = 9999;
  if (error != std::errc{} || stop != piece.data() + piece.size() || number > largest)
    throw Error(Status::usage, fmt::format("--layers: '{}' are no numbers of layers", text), "the first six: --layers 0..5");
  return number;
}

}  // namespace

std::vector<std::size_t> parse_layers(const std::string& text) {
  std::vector<std::size_t> layers;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view piece = rest.substr(0, comma);
    const std::size_t dots = piece.find("..");
    const std::size_t first = number_of(text, piece.substr(0, dots));
    const std::size_t last = dots == std::string_view::npos ? first : number_of(text, piece.substr(dots + 2));
    if (first > last) throw Error(Status::usage, fmt::format("--layers: the range {} is empty", piece));
    for (std::size_t layer = first; layer <= last; ++layer) layers.push_back(layer);
    if (comma == std::string_view::npos) return layers;
    rest.remove_prefix(comma + 1);
  }
}

const Table<LayerRequest>& layer_table() {
  static const Table<LayerRequest> table = [] {
    Table<LayerRequest> rows;
    bool own_added = false;
    for (const Row<RunRequest>& r : run_table()) {
      if (r.option.group == kWatchGroup || std::ranges::find(kNotOfLayers, r.option.name) != kNotOfLayers.end()) continue;
      if (!own_added && r.option.group != run_table().front().option.group) {
        add_layer_rows(rows);
        own_added = true;
      }
      rows.push_back(row_of_run(r));
    }
    append_common(rows);
    return rows;
  }();
  return table;
}

}  // namespace attn::request
