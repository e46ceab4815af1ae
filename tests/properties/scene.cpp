// A drawn attention problem with its arrays at hand.
#include "properties/scene.hpp"

#include "conformance/generated_input.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::testing {

namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

Tensor uniform(Dice& dice, const std::string& dtype, Shape shape, double amplitude) {
  const InputSpec spec{.dtype = dtype, .shape = std::move(shape), .seed = dice.next() >> 40, .amplitude = amplitude};
  return {spec.shape, generate(spec)};
}

Tensor integers(Dice& dice, Shape shape, std::size_t below) {
  Tensor tensor{std::move(shape), {}};
  for (std::size_t i = 0; i < element_count(tensor.shape); ++i) tensor.values.push_back(static_cast<double>(dice.below(below)));
  return tensor;
}

void draw_scores(Dice& dice, Scene& scene) {
  const std::string score = dice.pick<std::string>({"scaled", "scaled", "dot", "cosine", "euclidean", "sqeuclidean"});
  scene.others = {"--score", score};
  if (score == "dot" || score == "sqeuclidean") scene.others = joined(scene.others, {"--scale", "0.0625"});
  if (dice.chance(0.25)) scene.others = joined(scene.others, {"--softcap", "3"});
  if (dice.chance(0.25)) scene.others = joined(scene.others, {"--temperature", "0.7"});
  const std::string normalizer =
      dice.pick<std::string>({"softmax", "softmax", "softmax", "softmin", "double-softmax", "softmax1", "sigmoid", "none"});
  scene.others = joined(scene.others, {"--normalize", normalizer});
}

void draw_positions(Dice& dice, Scene& scene) {
  if (dice.chance(0.4)) scene.others.emplace_back("--causal");
  if (dice.chance(0.25)) scene.others = joined(scene.others, {"--window", dice.pick<std::string>({"3:", ":9", "20:2", "0:0"})});
  if (dice.chance(0.2)) scene.others.emplace_back("--alibi");
  if (scene.query.shape[3] > 1 && dice.chance(0.25)) {
    const std::string pairs = dice.pick<std::string>({"half", "interleaved"});
    scene.others = joined(scene.others, {"--rope", pairs, "--rope-dim", scene.query.shape[3] < 8 ? "2" : "8"});
  }
}

void draw_masks(Dice& dice, Scene& scene) {
  const Shape full{scene.batch(), scene.heads(), scene.q_len(), scene.kv_len()};
  const auto shape = [&] {
    Shape s(full.end() - static_cast<std::ptrdiff_t>(1 + dice.below(4)), full.end());
    for (std::size_t& n : s) n = dice.chance(0.2) ? 1 : n;
    return s;
  };
  if (dice.chance(0.5)) {
    scene.mask_type = dice.pick<std::string>({"keep", "block", "add"});
    scene.mask = integers(dice, shape(), 3);
    const bool adds = scene.mask_type == "add";
    for (double& x : scene.mask.values) x = adds ? (x == 0 ? kMasked : x - 1.5) : (x == 0 ? 0 : 1);
  }
  if (dice.chance(0.25)) scene.bias = uniform(dice, "float32", shape(), 2);
  if (dice.chance(0.2)) {
    scene.segments = integers(dice, {scene.batch(), scene.q_len()}, 3);
    scene.key_segments = integers(dice, {scene.batch(), scene.kv_len()}, 3);
  }
  if (dice.chance(0.3)) {
    for (std::size_t b = 0; b < scene.batch(); ++b)
      scene.key_lengths.push_back(static_cast<std::int64_t>(dice.below(scene.kv_len() + 1)));
  }
}

std::vector<std::size_t> counting(std::size_t first, std::size_t count) {
  std::vector<std::size_t> index(count);
  std::iota(index.begin(), index.end(), first);
  return index;
}

}  // namespace

std::uint64_t Dice::next() { return hash_of(seed_, index_++); }

std::vector<std::size_t> Dice::order(std::size_t count) {
  std::vector<std::size_t> index = counting(0, count);
  for (std::size_t i = count; i > 1; --i) std::swap(index[i - 1], index[below(i)]);
  return index;
}

Tensor Tensor::select(std::size_t axis_from_right, const std::vector<std::size_t>& index, std::size_t full) const {
  if (shape.size() <= axis_from_right) return *this;
  const std::size_t axis = shape.size() - 1 - axis_from_right;
  if (shape[axis] == 1 && full != 1) return *this;
  std::size_t inner = 1;
  for (std::size_t k = axis + 1; k < shape.size(); ++k) inner *= shape[k];
  const std::size_t step = inner * shape[axis];
  Tensor chosen{shape, {}};
  chosen.shape[axis] = index.size();
  for (std::size_t start = 0; start < values.size(); start += step) {
    for (const std::size_t i : index) {
      const auto from = values.begin() + static_cast<std::ptrdiff_t>(start + i * inner);
      chosen.values.insert(chosen.values.end(), from, from + static_cast<std::ptrdiff_t>(inner));
    }
  }
  return chosen;
}

Scene Scene::with_keys(const std::vector<std::size_t>& index) const {
  Scene changed = *this;
  changed.key = key.select(1, index, kv_len());
  changed.value = value.select(1, index, kv_len());
  changed.mask = mask.select(0, index, kv_len());
  changed.bias = bias.select(0, index, kv_len());
  changed.key_segments = key_segments.select(0, index, kv_len());
  for (std::int64_t& length : changed.key_lengths) length = std::min(length, static_cast<std::int64_t>(index.size()));
  return changed;
}

Scene Scene::entry(std::size_t b) const {
  Scene one = *this;
  const std::vector<std::size_t> index{b};
  for (Tensor* tensor : {&one.query, &one.key, &one.value, &one.mask, &one.bias}) *tensor = tensor->select(3, index, batch());
  for (Tensor* tensor : {&one.segments, &one.key_segments}) *tensor = tensor->select(1, index, batch());
  if (!key_lengths.empty()) one.key_lengths = {key_lengths[b]};
  one.offsets = {offsets[b]};
  return one;
}

Scene Scene::with_own_heads() const {
  std::vector<std::size_t> index;
  for (std::size_t h = 0; h < heads(); ++h) index.push_back(h / (heads() / kv_heads()));
  Scene changed = *this;
  changed.key = key.select(2, index, 0);
  changed.value = value.select(2, index, 0);
  return changed;
}

Words Scene::prepare(const std::filesystem::path& folder) const {
  Words words{"run"};
  const auto file = [&](const Tensor& tensor, const char* flag, const std::string& type) {
    if (!tensor.given()) return;
    const std::string name = std::string(flag + 2) + ".npy";
    write_input(folder / name, type, tensor.shape, tensor.values);
    words.insert(words.end(), {flag, name});
  };
  file(query, "--query", dtype);
  file(key, "--key", dtype);
  file(value, "--value", dtype);
  file(mask, "--mask", mask_type == "add" ? "float32" : "bool");
  if (mask.given()) words.insert(words.end(), {"--mask-type", mask_type});
  file(bias, "--bias", "float32");
  file(segments, "--segments", "int32");
  file(key_segments, "--key-segments", "int32");
  if (!key_lengths.empty()) words.insert(words.end(), {"--key-lengths", fmt::format("{}", fmt::join(key_lengths, ","))});
  words.insert(words.end(), {"--query-offset", fmt::format("{}", fmt::join(offsets, ","))});
  return joined(words, others);
}

Scene draw_scene(Dice& dice, const Allowed& allowed) {
  const std::size_t batch = 1 + dice.below(3);
  const std::size_t kv_heads = 1 + dice.below(2);
  const std::size_t heads = kv_heads * (1 + dice.below(3));
  const auto q_len = dice.pick<std::size_t>({1, 2, 5, 15, 17, 33, 64, 65, 100});
  const auto kv_len = dice.pick<std::size_t>({2, 3, 7, 16, 33, 95, 96, 97, 130, 200});
  const auto head_dim = dice.pick<std::size_t>({1, 3, 8, 16, 17, 33, 64});
  const auto value_dim = dice.pick<std::size_t>({1, 2, 5, 16, 31, 33});
  Scene scene;
  scene.dtype = dice.chance(0.7) ? "float32" : "float64";
  scene.query = uniform(dice, scene.dtype, {batch, heads, q_len, head_dim}, 2);
  scene.key = uniform(dice, scene.dtype, {batch, kv_heads, kv_len, head_dim}, 2);
  scene.value = uniform(dice, scene.dtype, {batch, kv_heads, kv_len, value_dim}, 2);
  for (std::size_t b = 0; b < batch; ++b) {
    const auto span = static_cast<std::int64_t>(kv_len) - static_cast<std::int64_t>(q_len);
    scene.offsets.push_back(allowed.positions && dice.chance(0.5) ? span : static_cast<std::int64_t>(dice.below(4)));
  }
  draw_scores(dice, scene);
  if (allowed.positions) draw_positions(dice, scene);
  if (allowed.masks) draw_masks(dice, scene);
  return scene;
}

Run::Run(const Scene& scene, const std::vector<std::string>& outputs, const Words& more) {
  const TemporaryDirectory folder;
  Words words = joined(scene.prepare(folder.path()), more);
  const bool has_output = std::ranges::find(outputs, "output") != outputs.end();
  if (!has_output) words = joined(words, {"--output", "none"});
  for (const std::string& name : outputs) words = joined(words, {"--" + name, name + ".npy"});
  const Outcome outcome = run_program(folder.path(), words);
  messages_ = outcome.messages;
  INFO("attn ", shell_text(words));
  INFO(outcome.messages);
  REQUIRE_EQ(outcome.ending, "0");
  for (const std::string& name : outputs) {
    bytes_[name] = read_file(folder.path() / (name + ".npy"));
    arrays_[name] = read_result(folder.path() / (name + ".npy"));
  }
}

void check_same(const Run& one, const Run& other, const std::vector<std::string>& names, const std::string& what) {
  for (const std::string& name : names) {
    INFO(what, ": ", name);
    CHECK((one.bytes(name) == other.bytes(name)));
  }
}

std::string row_bytes(const Array& array, std::size_t b, std::size_t h, std::size_t i) {
  const Shape& shape = array.shape();
  const std::size_t rows = shape[0] * shape[1] * shape[2];
  const std::size_t width = rows == 0 ? 0 : array.bytes() / rows;
  const std::size_t row = (b * shape[1] + h) * shape[2] + i;
  const auto* data = reinterpret_cast<const char*>(array.data());
  return {data + row * width, width};
}

}  // namespace attn::testing
