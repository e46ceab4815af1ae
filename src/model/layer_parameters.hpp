// One transformer layer in a file of parameters: which tensors it is, how wide it is, and its matrices.
#pragma once

#include "model/attention_parameters.hpp"
#include "model/layer_names.hpp"
#include "model/linear.hpp"
#include "model/normalization.hpp"
#include "model/parameter_file.hpp"

#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace attn::model {

/// One tensor outside of the attentions and what it is for.
struct LayerTensor {
  LayerRole role;
  std::string name;  ///< in full
  Shape shape;
  DType dtype = DType::f32;
};

/// What was recognized, before any element is read.
struct LayerSet {
  std::string prefix;
  const LayerScheme* scheme = nullptr;
  AttentionSet attention;
  std::optional<AttentionSet> cross;  ///< over a memory: the layer of a decoder
  std::vector<LayerTensor> tensors;   ///< in the order of the scheme
  std::size_t width = 0;              ///< of the rows that go in and come out
  std::size_t hidden = 0;             ///< of the feed-forward network

  [[nodiscard]] const LayerTensor* find(LayerRole role) const noexcept;
  /// All names, those of the attentions first.
  [[nodiscard]] std::vector<std::string> names() const;
};

/// The parameters of the layer under `prefix` (a dot is put behind it when nothing begins with it as it is). Throws Error(data)
/// in one line for a prefix with no, an incomplete or an ambiguous layer, which says what was found, what is missing and the
/// nearest prefix that has one; and for tensors whose shapes do not fit each other.
[[nodiscard]] LayerSet recognize_layer(const ParameterFile& file, const std::string& prefix);

/// The matrices of a layer. Norms have what the scheme implies; their epsilon is the scheme's.
struct LayerParameters {
  LayerSet set;
  AttentionParameters attention;
  std::optional<AttentionParameters> cross;
  Norm attention_norm;
  Norm cross_norm;
  Norm feed_norm;
  Linear up;
  Linear gate;  ///< `weight.out` is 0 where there is none
  Linear down;
  std::vector<Loaded> files;  ///< every tensor as it was read

  [[nodiscard]] bool is_gated() const noexcept { return gate.weight.out != 0; }
};

/// Reads the tensors of a layer; mapped where the file's bytes can serve.
[[nodiscard]] LayerParameters load_layer(const ParameterFile& file, LayerSet set, Reporter& reporter);

}  // namespace attn::model
