// Reading everything a run request names, and deciding the type it is computed in.
#include "request/run_inputs.hpp"

#include "engine/findings.hpp"
#include "request/masks.hpp"
#include "request/positions.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// The files of one request. Each is read once; standard input is read last, when the type of text numbers is known.
class InputFiles {
 public:
  /// `holds_double`: a file that is not among these does.
  InputFiles(const RunRequest& request, Reporter& reporter, SharedInputs* shared, bool holds_double = false)
      : request_(request), reporter_(reporter), shared_(shared), holds_double_(holds_double) {}

  /// Registers a file under its role; empty text is "not given". Main inputs obey --from.
  void want(const std::string& role, const std::string& text, bool main_input) {
    if (text.empty()) return;
    wanted_.push_back({.role = role, .text = text, .main_input = main_input, .loaded = {}});
  }

  /// Reads everything and decides the type computed in.
  DType read_all() {
    for (Wanted& w : wanted_) {
      if (!FileName::parse(w.text).is_standard_stream()) read(w, text_type());
    }
    for (Wanted& w : wanted_) {
      if (FileName::parse(w.text).is_standard_stream()) read(w, text_type());
    }
    const DType compute = text_type();
    // Decimal text is rounded once, to the type computed in: a CSV that was read before a float64 file turned up is read again.
    for (Wanted& w : wanted_) {
      if (is_text(w.loaded.format) && compute == DType::f64 && w.loaded.array.dtype() == DType::f32 &&
          !w.loaded.name.is_standard_stream())
        w.loaded = load(w, DType::f64);
    }
    return compute;
  }

  [[nodiscard]] const Loaded* find(const std::string& role) const {
    const auto found = std::ranges::find(wanted_, role, &Wanted::role);
    return found == wanted_.end() ? nullptr : &found->loaded;
  }

  [[nodiscard]] ReadFiles all() const {
    ReadFiles files;
    for (const Wanted& w : wanted_) files.emplace_back(w.role, w.loaded);
    return files;
  }

 private:
  struct Wanted {
    std::string role;
    std::string text;
    bool main_input = false;
    Loaded loaded;
  };

  Loaded load(const Wanted& w, DType type) {
    ReadOptions options = request_.reading.options(type);
    if (!w.main_input) options.from.reset();
    return read_shared(FileName::parse(w.text), options, reporter_, shared_);
  }

  void read(Wanted& w, DType type) {
    const auto same = std::ranges::find_if(wanted_, [&](const Wanted& other) { return &other < &w && other.text == w.text; });
    w.loaded = same != wanted_.end() && same->main_input == w.main_input ? same->loaded : load(w, type);
    holds_double_ = holds_double_ || w.loaded.array.dtype() == DType::f64;
  }

  [[nodiscard]] DType text_type() const {
    if (request_.dtype == ComputeType::automatic) return holds_double_ ? DType::f64 : DType::f32;
    return request_.dtype == ComputeType::f64 ? DType::f64 : DType::f32;
  }

  const RunRequest& request_;
  Reporter& reporter_;
  SharedInputs* shared_;
  std::vector<Wanted> wanted_;
  bool holds_double_;
};

engine::NamedArray named(const std::string& role, const Loaded* loaded) {
  if (loaded == nullptr) return {};
  return {loaded->array, role + " " + loaded->name.text()};
}

/// Query, key and value may be the same stream, which is read once; everything else that comes from a stream needs its own.
void check_standard_input(const RunRequest& r) {
  std::set<std::string> arrays;
  std::size_t streams = 0;
  for (const std::string* text : {&r.input, &r.query, &r.key, &r.value}) {
    if (!text->empty() && FileName::parse(*text).is_standard_stream()) arrays.insert(*text);
  }
  for (const std::string* text : {&r.past_key, &r.past_value, &r.mask, &r.bias, &r.query_offset, &r.key_lengths, &r.segments,
                                  &r.key_segments, &r.ids, &r.key_ids}) {
    if (!text->empty() && FileName::parse(*text).is_standard_stream()) ++streams;
  }
  if (arrays.size() + streams > 1) throw Error(Status::usage, "only one input may be standard input");
}

void check_arguments(const RunRequest& r) {
  if (r.input.empty() && r.query.empty())
    throw Error(Status::usage, "there is no input: give X for self-attention, or --query with --key and --value",
                "attn run x.csv        attn run -q queries.npy -k keys.npy -v values.npy");
  if (!r.input.empty() && !r.query.empty())
    throw Error(Status::usage, fmt::format("X ('{}') is the query already: --query names another", r.input));
  check_standard_input(r);
  if (r.params.empty() && !r.params_prefix.empty())
    throw Error(Status::usage, "--params-prefix goes with --params: the file whose names it precedes");
  if (r.kv_heads != 0 && r.heads == 0 && r.params.empty())
    throw Error(Status::usage, "--kv-heads goes with --heads: how many heads the queries have");
  if (r.mask_type != MaskType::automatic && r.mask.empty()) throw Error(Status::usage, "--mask-type goes with --mask");
}

void notice_rows(const Loaded& loaded, Reporter& reporter) {
  if (loaded.array.rank() == 1)
    reporter.warn(fmt::format("{} has one dimension: taken as one row of {} numbers", loaded.name.text(), loaded.array.size()));
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
  in.query = named("query", files.find("query"));
  in.key = named("key", files.find("key"));
  in.value = named("value", files.find("value"));
  in.past_key = named("past key", files.find("past key"));
  in.past_value = named("past value", files.find("past value"));
  in.segments = named("segments", others.find("segments"));
  in.key_segments = named("key segments", others.find("key segments"));
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
