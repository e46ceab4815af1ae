// Everything `attn run` can be asked, as one value; the option table and sweeps fill it.
#pragma once

#include "request/common.hpp"
#include "request/option.hpp"
#include "request/watch_request.hpp"

#include <attn/options.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace attn::request {

enum class MaskType { automatic, keep, block, add };
enum class WeightsForm { wide, rows };
enum class ComputeType { automatic, f32, f64 };
enum class EngineChoice { automatic, tiled, reference };

/// A number of bytes: "512M", "2G", "1.5GiB".
struct ByteSize {
  std::uint64_t bytes = 0;
};

/// FILE members are as the user wrote them; empty is "not given".
struct RunRequest {
  std::string input;  ///< the positional X: query of self-attention
  std::string query;
  std::string key;
  std::string value;
  std::string past_key;
  std::string past_value;

  std::string output = "-";
  std::string weights;
  std::string scores;
  std::string lse;
  std::string present_key;
  std::string present_value;
  ScoresStage scores_stage = ScoresStage::raw;
  WeightsForm weights_form = WeightsForm::wide;

  AttentionOptions attention;
  std::optional<double> rope_base;          ///< default: that of config.json beside the parameters, else attention.rope_base
  std::optional<RopeScaling> rope_scaling;  ///< default: that of config.json, where positions rotate
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::string params;         ///< a file of parameters; empty: inputs are not projected
  std::string params_prefix;  ///< what stands before the names of one layer
  std::string mask;
  MaskType mask_type = MaskType::automatic;
  std::string bias;
  std::optional<double> treat_below;  ///< additive entries at or below it mask
  std::string query_offset;           ///< N, a list, a file, or "end"
  std::string key_lengths;            ///< a list or a file
  std::string segments;
  std::string key_segments;
  std::string ids;
  std::string key_ids;
  NanPolicy nan = NanPolicy::compute;
  WatchSettings watch;

  ComputeType dtype = ComputeType::automatic;
  EngineChoice engine = EngineChoice::automatic;
  std::string approx;  ///< a method and its setting in the place of the engine; empty: exact
  std::string isa;
  std::size_t threads = 0;  ///< 0: the cores this process may use
  std::optional<ByteSize> max_memory;
  bool dry_run = false;
  std::string report;

  ReadingSettings reading;
  WritingSettings writing;
  CommonSettings common;

  /// `attention` with the options that stand in members of their own.
  [[nodiscard]] AttentionOptions attention_options() const {
    AttentionOptions options = attention;
    if (rope_base) options.rope_base = *rope_base;
    if (rope_scaling) options.rope_scaling = *rope_scaling;
    return options;
  }
};

[[nodiscard]] const Table<RunRequest>& run_table();

template <>
struct Names<Score> {
  static constexpr std::array<std::pair<std::string_view, Score>, 5> list{{{"dot", Score::dot},
                                                                           {"scaled", Score::scaled},
                                                                           {"cosine", Score::cosine},
                                                                           {"euclidean", Score::euclidean},
                                                                           {"sqeuclidean", Score::sqeuclidean}}};
};
template <>
struct Names<Normalizer> {
  static constexpr std::array<std::pair<std::string_view, Normalizer>, 6> list{{{"softmax", Normalizer::softmax},
                                                                                {"softmin", Normalizer::softmin},
                                                                                {"double-softmax", Normalizer::double_softmax},
                                                                                {"softmax1", Normalizer::softmax1},
                                                                                {"sigmoid", Normalizer::sigmoid},
                                                                                {"none", Normalizer::none}}};
};
template <>
struct Names<Combine> {
  static constexpr std::array<std::pair<std::string_view, Combine>, 2> list{{{"sum", Combine::sum}, {"rows", Combine::rows}}};
};
template <>
struct Names<Policy> {
  static constexpr std::array<std::pair<std::string_view, Policy>, 3> list{
      {{"zero", Policy::zero}, {"nan", Policy::nan}, {"error", Policy::error}}};
};
template <>
struct Names<ScoresStage> {
  static constexpr std::array<std::pair<std::string_view, ScoresStage>, 3> list{
      {{"raw", ScoresStage::raw}, {"capped", ScoresStage::capped}, {"masked", ScoresStage::masked}}};
};
template <>
struct Names<RopePairing> {
  static constexpr std::array<std::pair<std::string_view, RopePairing>, 3> list{
      {{"none", RopePairing::none}, {"half", RopePairing::half}, {"interleaved", RopePairing::interleaved}}};
};
template <>
struct Names<MaskType> {
  static constexpr std::array<std::pair<std::string_view, MaskType>, 4> list{
      {{"auto", MaskType::automatic}, {"keep", MaskType::keep}, {"block", MaskType::block}, {"add", MaskType::add}}};
};
template <>
struct Names<WeightsForm> {
  static constexpr std::array<std::pair<std::string_view, WeightsForm>, 2> list{
      {{"wide", WeightsForm::wide}, {"long", WeightsForm::rows}}};
};
template <>
struct Names<ComputeType> {
  static constexpr std::array<std::pair<std::string_view, ComputeType>, 3> list{
      {{"auto", ComputeType::automatic}, {"f32", ComputeType::f32}, {"f64", ComputeType::f64}}};
};
template <>
struct Names<EngineChoice> {
  static constexpr std::array<std::pair<std::string_view, EngineChoice>, 3> list{
      {{"auto", EngineChoice::automatic}, {"tiled", EngineChoice::tiled}, {"reference", EngineChoice::reference}}};
};

}  // namespace attn::request

// Values with a notation of their own. In namespace attn so that the rows of the table find them.
namespace attn {

/// "L:R", either side may be empty.
void read_value(const std::string& option, const std::string& text, Window& value);
[[nodiscard]] request::OptionValue show_value(const Window& value);

/// "linear:4", "ntk:4", "dynamic:4:2048", "llama3:8:1:4:8192", "none".
void read_value(const std::string& option, const std::string& text, RopeScaling& value);
[[nodiscard]] request::OptionValue show_value(const RopeScaling& value);

namespace request {
void read_value(const std::string& option, const std::string& text, ByteSize& value);
[[nodiscard]] OptionValue show_value(const ByteSize& value);
}  // namespace request

}  // namespace attn
