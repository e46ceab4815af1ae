// config.json of a checkpoint: the numbers of a model that its tensors do not tell.
#include "model/config.hpp"

#include "model/parameter_file.hpp"

#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::model {

namespace {

using Json = nlohmann::json;
using Spellings = std::initializer_list<const char*>;

/// Reads entries of one JSON object, each under the first of its spellings that is there.
class Reader {
 public:
  Reader(const Json& object, const std::string& path) : object_(object), path_(path) {}

  [[nodiscard]] std::optional<std::size_t> count(Spellings spellings) const {
    const auto [name, value] = find(spellings);
    if (value == nullptr) return std::nullopt;
    constexpr std::uint64_t largest = std::uint64_t{1} << 32U;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() == 0 || value->get<std::uint64_t>() > largest)
      refuse(name, "a whole number from 1");
    return value->get<std::size_t>();
  }

  [[nodiscard]] std::optional<double> number(Spellings spellings) const {
    const auto [name, value] = find(spellings);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() < 0) refuse(name, "a number from 0");
    return value->get<double>();
  }

  [[nodiscard]] std::optional<std::string> text(Spellings spellings) const {
    const auto [name, value] = find(spellings);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) refuse(name, "a text");
    return value->get<std::string>();
  }

  [[nodiscard]] const Json* object(Spellings spellings) const {
    const auto [name, value] = find(spellings);
    if (value != nullptr && !value->is_object()) refuse(name, "an object");
    return value;
  }

 private:
  [[nodiscard]] std::pair<const char*, const Json*> find(Spellings spellings) const {
    for (const char* name : spellings) {
      const auto at = object_.find(name);
      if (at != object_.end() && !at->is_null()) return {name, &*at};
    }
    return {nullptr, nullptr};
  }

  [[noreturn]] void refuse(const char* name, const char* expected) const {
    throw Error(Status::data, {path_}, fmt::format("\"{}\" has an unusable value (expected {})", name, expected));
  }

  const Json& object_;
  const std::string& path_;
};

std::optional<ConfiguredScaling> read_scaling(const Json* object, std::optional<double> trained_length, const std::string& path) {
  if (object == nullptr) return std::nullopt;
  const Reader read(*object, path);
  ConfiguredScaling configured;
  configured.type = read.text({"rope_type", "type"}).value_or("");
  if (configured.type.empty() || configured.type == "default") return std::nullopt;
  using Kind = RopeScaling::Kind;
  constexpr std::pair<const char*, Kind> kinds[] = {
      {"linear", Kind::linear}, {"ntk", Kind::ntk}, {"dynamic", Kind::dynamic}, {"llama3", Kind::llama3}};
  for (const auto& [name, kind] : kinds) {
    if (configured.type != name) continue;
    RopeScaling scaling{.kind = kind};
    scaling.factor = read.number({"factor"}).value_or(scaling.factor);
    scaling.low = read.number({"low_freq_factor"}).value_or(scaling.low);
    scaling.high = read.number({"high_freq_factor"}).value_or(scaling.high);
    // The length of the model as it is, except where another one says what it was before scaling.
    scaling.length = read.number({"original_max_position_embeddings"}).value_or(trained_length.value_or(0));
    configured.scaling = scaling;
  }
  return configured;
}

ModelConfig understand(const Json& json, const std::string& path) {
  const Reader read(json, path);
  ModelConfig config;
  config.path = path;
  config.model_type = read.text({"model_type"}).value_or("");
  config.heads = read.count({"num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"});
  config.kv_heads = read.count({"num_key_value_heads", "n_head_kv", "num_kv_heads"});
  config.head_dim = read.count({"head_dim"});
  const Json* parameters = read.object({"rope_parameters"});
  config.rope_base = read.number({"rope_theta", "rotary_emb_base"});
  if (parameters != nullptr && !config.rope_base) config.rope_base = Reader(*parameters, path).number({"rope_theta"});
  config.rope_scaling = read_scaling(parameters != nullptr ? parameters : read.object({"rope_scaling"}),
                                     read.number({"max_position_embeddings"}), path);
  config.rope_fraction = read.number({"partial_rotary_factor"});
  if (parameters != nullptr && !config.rope_fraction)
    config.rope_fraction = Reader(*parameters, path).number({"partial_rotary_factor"});
  config.norm_epsilon = read.number({"layer_norm_eps", "rms_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"});
  config.activation = read.text({"hidden_act", "activation_function", "hidden_activation", "activation"});
  return config;
}

bool tells_something(const ModelConfig& c) {
  return c.heads || c.kv_heads || c.head_dim || c.rope_base || c.rope_scaling || c.norm_epsilon || c.activation;
}

}  // namespace

std::optional<RopeScaling> usable_scaling(const ModelConfig& config) {
  if (!config.rope_scaling || !config.rope_scaling->scaling) return std::nullopt;
  const RopeScaling& s = *config.rope_scaling->scaling;
  using Kind = RopeScaling::Kind;
  const auto refuse = [&](const char* expected) {
    throw Error(Status::data, {config.path},
                fmt::format("rotary positions scaled as '{}' need {}", config.rope_scaling->type, expected));
  };
  if (!(s.factor >= 1)) refuse("a \"factor\" of at least 1");
  if ((s.kind == Kind::dynamic || s.kind == Kind::llama3) && !(s.length >= 1))
    refuse("the length of training, \"max_position_embeddings\" or \"original_max_position_embeddings\"");
  if (s.kind == Kind::llama3 && !(s.low > 0 && s.high > s.low)) refuse("0 < \"low_freq_factor\" < \"high_freq_factor\"");
  return s;
}

std::optional<ModelConfig> read_config(const std::string& parameters, Reporter& reporter) {
  const std::string path = beside(parameters, "config.json");
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
  const Json json = Json::parse(read_text_file(path), nullptr, false);
  if (!json.is_object()) {
    reporter.warn(path + " is not a JSON object and is ignored");
    return std::nullopt;
  }
  // Models of text and pictures keep the numbers of the text part in an object of their own.
  const auto text = json.find("text_config");
  const bool nested = text != json.end() && text->is_object() && !json.contains("num_attention_heads");
  ModelConfig config = understand(nested ? *text : json, path);
  if (!tells_something(config)) return std::nullopt;
  return config;
}

}  // namespace attn::model
