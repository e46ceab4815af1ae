// The attention of one layer in a file of parameters: which tensors it is, how wide it is, and its matrices.
#pragma once

#include "model/config.hpp"
#include "model/linear.hpp"
#include "model/names.hpp"
#include "model/parameter_file.hpp"

#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace attn::model {

/// Numbers of features on both sides of one projection.
struct Widths {
  std::size_t in = 0;
  std::size_t out = 0;
};

/// One tensor and what it is for.
struct NamedRole {
  Role role;
  std::string name;  ///< in full
  Shape shape;
  DType dtype = DType::f32;
};

/// What was recognized, before any element is read. Query and key are head_dim * heads and head_dim * kv_heads wide, value
/// value_dim * kv_heads; the output projection takes value_dim * heads.
struct AttentionSet {
  std::string prefix;
  const NamingScheme* scheme = nullptr;
  std::vector<NamedRole> tensors;  ///< in the order of the scheme
  Widths query, key, value, output;
  std::size_t norm_dim = 0;  ///< width of the query's norm where there is one

  [[nodiscard]] const NamedRole* find(Role role) const noexcept;
  [[nodiscard]] bool has_bias() const noexcept;
};

/// The parameters of the attention under `prefix` (a dot is put behind it when nothing begins with it as it is). Throws
/// Error(data) in one line for a prefix with no, an incomplete or an ambiguous set, which says what was found, what is missing
/// and the nearest prefix that has one; and for tensors whose shapes do not fit each other.
[[nodiscard]] AttentionSet recognize_attention(const ParameterFile& file, const std::string& prefix);

/// A place in the file where some scheme has at least two weights. An incomplete or ambiguous one carries the reason and no set.
struct AttentionPlace {
  std::string prefix;
  std::string scheme;
  std::optional<AttentionSet> set;
  std::string problem;
};

/// All prefixes under which there are attention parameters, numbers in their order (layer 2 before layer 10).
[[nodiscard]] std::vector<AttentionPlace> find_attention(const ParameterFile& file);

/// How the widths split into heads.
struct HeadCounts {
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t value_dim = 0;
  std::string source;  ///< who said how many heads: "--heads", "config.json", "q_norm", or empty: nobody, taken as one
};

/// What was asked for wins (0: not asked), then config.json, then the width of the query's norm; nobody is one head. Throws
/// Error(data) for a number of heads that the widths cannot be split into.
[[nodiscard]] HeadCounts resolve_heads(const AttentionSet& set, std::size_t heads, std::size_t kv_heads,
                                       const std::optional<ModelConfig>& config, const std::string& label);

/// The matrices of a set.
struct AttentionParameters {
  AttentionSet set;
  Linear query, key, value, output;
  Array query_norm;           ///< no dimensions where there is none
  Array key_norm;             ///< as above
  std::vector<Loaded> files;  ///< every tensor as it was read, in the order of set.tensors
};

/// Reads the tensors of a set; mapped where the file's bytes can serve.
[[nodiscard]] AttentionParameters load_attention(const ParameterFile& file, AttentionSet set, Reporter& reporter);

}  // namespace attn::model
