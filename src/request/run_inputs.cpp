// Reading everything a run request names, and deciding the type it is computed in.
#include "request/run_inputs.hpp"

#include "engine/findings.hpp"
#include "request/input_files.hpp"
#include "request/masks.hpp"
#include "request/positions.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Query, key and value may be the same stream, which is read once; everything else that comes from a stream needs its own.
void check_standard_input(const RunRequest& r, const std::vector<std::string>& more) {
  std::set<std::string> arrays;
  const auto is_stream = [](const std::string& text) { return !text.empty() && FileName::parse(text).is_standard_stream(); };
  for (const std::string* text : {&r.input, &r.query, &r.key, &r.value}) {
    if (is_stream(*text)) arrays.insert(*text);
  }
  std::size_t streams = static_cast<std::size_t>(std::ranges::count_if(more, is_stream));
  for (const std::string* text : {&r.past_key, &r.past_value, &r.mask, &r.bias, &r.query_offset, &r.key_lengths, &r.segments,
                                  &r.key_segments, &r.ids, &r.key_ids}) {
    if (is_stream(*text)) ++streams;
  }
  if (arrays.size() + streams > 1) throw Error(Status::usage, "only one input may be standard input");
}

void read_ids(const RunRequest& r, bool self_attention, Reporter& reporter, RunInputs& result) {
  const auto read = [&](const std::string& text) {
    return read_names(FileName::parse(text), r.reading.options(DType::f32), reporter);
  };
  if (!r.ids.empty()) result.ids = read(r.ids);
  if (!r.key_ids.empty()) {
    result.key_ids = read(r.key_ids);
  } else if (self_attention) {
    result.key_ids = result.ids;
  }
}

/// From here on the engine's inputs are the projected ones, and the residual is added behind the output projection.
void use_projection(const RunRequest& r, SharedInputs* shared, RunInputs& result) {
  const auto& config = result.projection->config();
  if (!r.rope_base && config && config->rope_base) result.options.rope_base = *config->rope_base;
  if (!r.rope_scaling && config && r.attention.rope != RopePairing::none)
    result.options.rope_scaling = model::usable_scaling(*config).value_or(RopeScaling{});
  result.options.residual = false;
  result.projection->take_over(result.inputs, r.engine == EngineChoice::reference ? DType::f64 : result.compute, r, shared);
}

}  // namespace

void check_arguments(const RunRequest& r, const std::vector<std::string>& more) {
  if (r.input.empty() && r.query.empty())
    throw Error(Status::usage, "there is no input: give X for self-attention, or --query with --key and --value",
                "attn run x.csv        attn run -q queries.npy -k keys.npy -v values.npy");
  if (!r.input.empty() && !r.query.empty())
    throw Error(Status::usage, fmt::format("X ('{}') is the query already: --query names another", r.input));
  check_standard_input(r, more);
  if (r.params.empty() && !r.params_prefix.empty())
    throw Error(Status::usage, "--params-prefix goes with --params: the file whose names it precedes");
  if (r.kv_heads != 0 && r.heads == 0 && r.params.empty())
    throw Error(Status::usage, "--kv-heads goes with --heads: how many heads the queries have");
  if (r.mask_type != MaskType::automatic && r.mask.empty()) throw Error(Status::usage, "--mask-type goes with --mask");
}

RunInputs read_inputs(const RunRequest& r, Reporter& reporter, SharedInputs* shared) {
  check_arguments(r);
  const std::string query = r.input.empty() ? r.query : r.input;
  const std::string key = r.key.empty() ? query : r.key;
  const std::string value = r.value.empty() ? key : r.value;
  RunInputs result;
  if (!r.params.empty()) result.projection = std::make_shared<Projection>(r, reporter);
  InputFiles files(r, reporter, shared, result.projection && result.projection->holds_double());
  files.want("query", query, true);
  files.want("key", key, true);
  files.want("value", value, true);
  files.want("past key", r.past_key, false);
  files.want("past value", r.past_value, false);
  files.want("mask", r.mask, false);
  files.want("bias", r.bias, false);

  result.compute = files.read_all();
  InputFiles others(r, reporter, shared);
  others.want("segments", r.segments, false);
  others.want("key segments", r.key_segments, false);
  (void)others.read_all();

  for (const char* role : {"query", "key", "value", "past key", "past value"}) {
    if (const Loaded* loaded = files.find(role)) require_numbers(*loaded, r.reading);
  }
  if (const Loaded* loaded = files.find("query")) notice_rows(*loaded, reporter);
  engine::Inputs& in = result.inputs;
  in.query = files.named("query");
  in.key = files.named("key");
  in.value = files.named("value");
  in.past_key = files.named("past key");
  in.past_value = files.named("past value");
  in.segments = others.named("segments");
  in.key_segments = others.named("key segments");
  in.heads = r.heads;
  in.kv_heads = r.kv_heads;
  if (const Loaded* mask = files.find("mask")) in.masks.push_back(understand_mask(*mask, r.mask_type, r.treat_below, reporter));
  if (const Loaded* bias = files.find("bias")) {
    require_numbers(*bias, r.reading);
    in.masks.push_back(understand_bias(*bias, r.treat_below, reporter));
  }
  in.key_lengths = read_key_lengths(r, reporter);
  result.options = r.attention_options();
  if (result.projection) use_projection(r, shared, result);
  result.options.query_offset = read_query_offset(r, reporter);
  read_ids(r, r.key.empty() && r.past_key.empty(), reporter, result);
  result.files = files.all();
  for (auto& file : others.all()) result.files.push_back(std::move(file));
  if (!result.projection) return result;
  for (auto& file : result.projection->files()) result.files.push_back(std::move(file));
  return result;
}

std::string first_visible_nan(const RunInputs& inputs, const engine::Plan& plan) {
  const std::string found = inputs.projection ? inputs.projection->first_nan() : std::string();
  return found.empty() ? engine::first_visible_nan(plan, inputs.inputs) : found;
}

}  // namespace attn::request
