// The matrices of a recognized set, and how its widths split into heads.
#include "model/attention_parameters.hpp"

#include "io/array_names.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::model {

namespace {

/// `count` entries of a one-dimensional array from `first` on, sharing its memory.
Array part_of(const Array& array, std::size_t first, std::size_t count) {
  return {array.dtype(), {count}, std::make_shared<Array>(array), array.data() + first * item_size(array.dtype())};
}

/// Output features [first, first + widths.out) of a weight.
Matrix matrix_of(const Array& array, Orientation orientation, Widths widths, std::size_t first) {
  const std::size_t stride = array.shape()[1];
  return {.array = array,
          .orientation = orientation,
          .in = widths.in,
          .out = widths.out,
          .first = orientation == Orientation::in_out ? first : first * stride,
          .stride = stride};
}

std::string widths_text(const AttentionSet& set) {
  return fmt::format("query {} wide, key {}, value {}, output projection from {}", set.query.out, set.key.out, set.value.out,
                     set.output.in);
}

/// Numbers of heads that the widths can be split into.
std::string possible_heads(const AttentionSet& set) {
  std::vector<std::size_t> possible;
  for (std::size_t heads = 1; heads <= std::min<std::size_t>(set.query.out, 256); ++heads) {
    if (set.query.out % heads != 0 || set.key.out % (set.query.out / heads) != 0) continue;
    const std::size_t kv_heads = set.key.out / (set.query.out / heads);
    if (heads % kv_heads == 0 && set.value.out % kv_heads == 0 && set.value.out / kv_heads * heads == set.output.in)
      possible.push_back(heads);
  }
  return possible.empty() ? "no number of heads fits" : fmt::format("possible: {}", fmt::join(possible, ", "));
}

}  // namespace

HeadCounts resolve_heads(const AttentionSet& set, std::size_t heads, std::size_t kv_heads,
                         const std::optional<ModelConfig>& config, const std::string& label) {
  HeadCounts counts{.heads = 1, .kv_heads = 0, .head_dim = 0, .value_dim = 0, .source = {}};
  if (heads != 0) {
    counts.heads = heads;
    counts.source = "--heads";
  } else if (config && config->heads) {
    counts.heads = *config->heads;
    counts.source = "config.json";
  } else if (set.norm_dim != 0 && set.norm_dim < set.query.out && set.query.out % set.norm_dim == 0) {
    counts.heads = set.query.out / set.norm_dim;
    counts.source = "q_norm";
  }
  const auto misfit = [&](const std::string& what) {
    const std::string who =
        counts.source.empty() ? "taken as one head" : fmt::format("{} heads by {}", counts.heads, counts.source);
    throw Error(Status::data, location_of(label, set.prefix),
                fmt::format("{}: {} ({}; {})", who, what, widths_text(set), possible_heads(set)));
  };
  if (set.query.out % counts.heads != 0) misfit("the query cannot be split so");
  counts.head_dim = set.query.out / counts.heads;
  if (set.key.out % counts.head_dim != 0) misfit(fmt::format("the key cannot be split into heads of {}", counts.head_dim));
  counts.kv_heads = set.key.out / counts.head_dim;
  if (counts.heads % counts.kv_heads != 0) misfit(fmt::format("{} key and value heads cannot be shared evenly", counts.kv_heads));
  if (set.value.out % counts.kv_heads != 0) misfit(fmt::format("the value cannot be split into {} heads", counts.kv_heads));
  counts.value_dim = set.value.out / counts.kv_heads;
  if (set.output.in != counts.value_dim * counts.heads)
    misfit(fmt::format("the output projection does not take {} heads of {}", counts.heads, counts.value_dim));
  if (kv_heads != 0 && kv_heads != counts.kv_heads)
    misfit(fmt::format("--kv-heads {}, but the key holds {} heads of {}", kv_heads, counts.kv_heads, counts.head_dim));
  if (counts.source == "config.json" && config->kv_heads && *config->kv_heads != counts.kv_heads)
    misfit(fmt::format("config.json names {} key and value heads, but the key holds {}", *config->kv_heads, counts.kv_heads));
  return counts;
}

AttentionParameters load_attention(const ParameterFile& file, AttentionSet set, Reporter& reporter) {
  AttentionParameters p;
  for (const NamedRole& tensor : set.tensors) {
    p.files.push_back(file.load(tensor.name, reporter));
    if (p.files.back().array.shape() != tensor.shape)
      throw Error(Status::io, location_of(file.path(), tensor.name), "the file changed while it was read");
  }
  // Without dimensions: not in the set.
  const auto array = [&](Role role) {
    const auto at = std::ranges::find(set.tensors, role, &NamedRole::role);
    return at == set.tensors.end() ? Array() : p.files[static_cast<std::size_t>(at - set.tensors.begin())].array;
  };
  const auto linear = [&](Linear& to, Role weight, Role bias, Widths widths, std::size_t first) {
    const bool is_joined = set.find(weight) == nullptr;
    to.weight =
        matrix_of(array(is_joined ? Role::joined_weight : weight), set.scheme->orientation, widths, is_joined ? first : 0);
    if (set.find(bias) != nullptr)
      to.bias = array(bias);
    else if (set.find(Role::joined_bias) != nullptr && bias != Role::output_bias)
      to.bias = part_of(array(Role::joined_bias), first, widths.out);
  };
  linear(p.query, Role::query_weight, Role::query_bias, set.query, 0);
  linear(p.key, Role::key_weight, Role::key_bias, set.key, set.query.out);
  linear(p.value, Role::value_weight, Role::value_bias, set.value, set.query.out + set.key.out);
  linear(p.output, Role::output_weight, Role::output_bias, set.output, 0);
  p.query_norm = array(Role::query_norm);
  p.key_norm = array(Role::key_norm);
  p.set = std::move(set);
  return p;
}

}  // namespace attn::model
