// config.json: every spelling, scaling of rotary positions, and files that are no configuration.
#include "model/config.hpp"

#include "io/support.hpp"

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::model;
using namespace attn::test;

namespace {

std::optional<ModelConfig> config_of(const std::string& json) {
  const TemporaryDirectory folder;
  Listener reporter;
  write_file(folder / "config.json", json);
  return read_config(folder / "model.safetensors", reporter);
}

}  // namespace

TEST_CASE("a Llama with scaled rotary positions") {
  const auto config = config_of(R"({"model_type": "llama", "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "rope_theta": 500000.0, "rms_norm_eps": 1e-05, "hidden_act": "silu", "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})");
  REQUIRE(config.has_value());
  CHECK(config->model_type == "llama");
  CHECK(config->heads == 32);
  CHECK(config->kv_heads == 8);
  CHECK(config->head_dim == 128);
  CHECK(config->rope_base == 500000.0);
  CHECK(config->norm_epsilon == 1e-5);
  CHECK(config->activation == "silu");
  REQUIRE(config->rope_scaling.has_value());
  CHECK(config->rope_scaling->type == "llama3");
  REQUIRE(config->rope_scaling->scaling.has_value());
  CHECK(config->rope_scaling->scaling->kind == RopeScaling::Kind::llama3);
  CHECK(config->rope_scaling->scaling->factor == 8.0);
  CHECK(config->rope_scaling->scaling->length == 8192.0);
}

TEST_CASE("other spellings") {
  const auto gpt2 = config_of(R"({"n_head": 12, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new"})");
  REQUIRE(gpt2.has_value());
  CHECK(gpt2->heads == 12);
  CHECK(gpt2->norm_epsilon == 1e-5);
  CHECK(gpt2->activation == "gelu_new");
  CHECK_FALSE(gpt2->rope_base.has_value());
  const auto bert =
      config_of(R"({"num_attention_heads": 12, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "rope_scaling": null})");
  REQUIRE(bert.has_value());
  CHECK(bert->norm_epsilon == 1e-12);
  const auto newer = config_of(R"({"rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 1e6}})");
  REQUIRE(newer.has_value());
  CHECK(newer->rope_base == 1e6);
  CHECK(newer->rope_scaling->type == "linear");
  CHECK(newer->rope_scaling->scaling->factor == 2.0);
  const auto dynamic = config_of(R"({"max_position_embeddings": 2048, "rope_scaling": {"type": "dynamic", "factor": 4.0},
    "partial_rotary_factor": 0.25})");
  REQUIRE(dynamic.has_value());
  CHECK(dynamic->rope_scaling->scaling->kind == RopeScaling::Kind::dynamic);
  CHECK(dynamic->rope_scaling->scaling->length == 2048.0);
  CHECK(dynamic->rope_fraction == 0.25);
  CHECK(usable_scaling(*dynamic)->factor == 4.0);
  for (const char* wrong :
       {R"({"rope_scaling": {"type": "dynamic", "factor": 4.0}})", R"({"rope_scaling": {"type": "linear", "factor": 0.5}})",
        R"({"rope_scaling": {"type": "llama3", "factor": 8, "original_max_position_embeddings": 0}})",
        R"({"max_position_embeddings": 9, "rope_scaling": {"type": "llama3", "low_freq_factor": 4}})"}) {
    CAPTURE(wrong);
    const auto config = config_of(wrong);
    REQUIRE(config.has_value());
    CHECK(error_of([&] { (void)usable_scaling(*config); }).status() == Status::data);
  }
  const auto yarn = config_of(R"({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})");
  REQUIRE(yarn.has_value());
  CHECK(yarn->rope_scaling->type == "yarn");
  CHECK_FALSE(yarn->rope_scaling->scaling.has_value());
  CHECK_FALSE(usable_scaling(*yarn).has_value());
  const auto nested = config_of(R"({"model_type": "llava", "text_config": {"num_attention_heads": 4}})");
  REQUIRE(nested.has_value());
  CHECK(nested->heads == 4);
}

TEST_CASE("what is no configuration") {
  CHECK_FALSE(config_of("{}").has_value());
  CHECK_FALSE(config_of(R"({"compilerOptions": {"strict": true}})").has_value());
  CHECK_FALSE(config_of("[1, 2]").has_value());
  CHECK_FALSE(config_of("{\"num_attention_heads\": ").has_value());
  CHECK_FALSE(config_of(std::string(100000, '[')).has_value());
  const TemporaryDirectory folder;
  Listener reporter;
  CHECK_FALSE(read_config(folder / "model.safetensors", reporter).has_value());
  for (const char* wrong :
       {R"({"num_attention_heads": "many"})", R"({"num_attention_heads": 0})", R"({"num_attention_heads": -2})",
        R"({"num_attention_heads": 1.5})", R"({"rope_theta": "big"})", R"({"rope_scaling": 3})", R"({"hidden_act": 3})",
        R"({"num_attention_heads": 18446744073709551615})"}) {
    CAPTURE(wrong);
    CHECK(error_of([&] { (void)config_of(wrong); }).status() == Status::data);
  }
}
