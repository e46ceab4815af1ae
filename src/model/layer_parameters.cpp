// The matrices of a recognized layer.
#include "model/layer_parameters.hpp"

#include "io/array_names.hpp"

#include <algorithm>

namespace attn::model {

namespace {

/// The tensors outside of the attentions by their roles.
class Tensors {
 public:
  Tensors(const ParameterFile& file, const LayerSet& set, std::vector<Loaded>& files, Reporter& reporter)
      : file_(file), set_(set), files_(files), reporter_(reporter) {}

  /// Without dimensions: not in the set.
  Array array(LayerRole role) {
    const LayerTensor* tensor = set_.find(role);
    if (tensor == nullptr) return {};
    files_.push_back(file_.load(tensor->name, reporter_));
    if (files_.back().array.shape() != tensor->shape)
      throw Error(Status::io, location_of(file_.path(), tensor->name), "the file changed while it was read");
    return files_.back().array;
  }

  Linear linear(LayerRole weight, LayerRole bias, Widths widths) {
    Linear linear;
    if (set_.find(weight) == nullptr) return linear;
    linear.weight = {.array = array(weight), .orientation = set_.scheme->orientation, .in = widths.in, .out = widths.out};
    linear.weight.stride = linear.weight.array.shape()[1];
    linear.bias = array(bias);
    return linear;
  }

  Norm norm(LayerRole weight, LayerRole bias) {
    Norm norm{.weight = array(weight), .bias = array(bias), .epsilon = set_.scheme->epsilon, .keeps_mean = false};
    norm.keeps_mean = set_.scheme->norm_keeps_mean && norm.bias.shape().empty();
    return norm;
  }

 private:
  const ParameterFile& file_;
  const LayerSet& set_;
  std::vector<Loaded>& files_;
  Reporter& reporter_;
};

}  // namespace

LayerParameters load_layer(const ParameterFile& file, LayerSet set, Reporter& reporter) {
  using enum LayerRole;
  LayerParameters p;
  p.set = std::move(set);
  p.attention = load_attention(file, p.set.attention, reporter);
  p.files = p.attention.files;
  if (p.set.cross) {
    p.cross = load_attention(file, *p.set.cross, reporter);
    p.files.insert(p.files.end(), p.cross->files.begin(), p.cross->files.end());
  }
  Tensors tensors(file, p.set, p.files, reporter);
  p.attention_norm = tensors.norm(attention_norm, attention_norm_bias);
  if (p.set.cross) p.cross_norm = tensors.norm(cross_norm, cross_norm_bias);
  p.feed_norm = tensors.norm(feed_norm, feed_norm_bias);
  const Widths up{.in = p.set.width, .out = p.set.hidden};
  p.up = tensors.linear(up_weight, up_bias, up);
  p.gate = tensors.linear(gate_weight, gate_bias, up);
  p.down = tensors.linear(down_weight, down_bias, {.in = p.set.hidden, .out = p.set.width});
  return p;
}

}  // namespace attn::model
