// The attention node tests of ONNX through the command line, on both engines.
#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "conformance/judge.hpp"
#include "tools/process.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::string kFolder = std::string(ATTN_TEST_DATA) + "/onnx/";

/// One node test in the words of `attn run`, or of another command.
struct Translation {
  std::string command = "run";
  Words arguments;
  std::map<std::string, std::string> files;  ///< expected array -> file that the run writes
  std::string refusal;                       ///< why no command can express it; empty when one can
};

/// "case.npz:Q"
std::string array_of(const Json& entry, const std::string& name) {
  return kFolder + entry["file"].get<std::string>() + ":" + name;
}

std::string number(const Json& value) { return fmt::format("{}", value.get<double>()); }

/// Asks for one more output; NAME.npy is its file.
void want(Translation& run, const std::string& expected, const std::string& flag) {
  run.files[expected] = expected + ".npy";
  run.arguments.insert(run.arguments.end(), {flag, expected + ".npy"});
}

/// Positions: a cache's length if there is a past; the end where nonpad_kv_seqlen says how many keys there are; else the start.
void add_positions(const Json& entry, Translation& run) {
  const Json& a = entry["attributes"];
  const Json& inputs = entry["inputs"];
  const std::int64_t left = a.value("left_window_size", -1);
  const std::int64_t right = a.value("right_window_size", -1);
  if (a.value("is_causal", 0) != 0) run.arguments.emplace_back("--causal");
  if (left >= 0 || right >= 0) {
    const auto side = [](std::int64_t n) { return n < 0 ? std::string() : std::to_string(n); };
    run.arguments.insert(run.arguments.end(), {"--window", side(left) + ":" + side(right)});
  }
  if (inputs.contains("nonpad_kv_seqlen")) {
    run.arguments.insert(run.arguments.end(), {"--key-lengths", array_of(entry, "nonpad_kv_seqlen"), "--query-offset", "end"});
  } else if (!inputs.contains("past_key")) {
    run.arguments.insert(run.arguments.end(), {"--query-offset", "0"});
  }
}

Translation translate_attention(const Json& entry) {
  const Json& a = entry["attributes"];
  const Json& inputs = entry["inputs"];
  Translation run;
  run.arguments = {"-q",      array_of(entry, "Q"), "-k",        array_of(entry, "K"), "-v", array_of(entry, "V"),
                   "--scale", number(a["scale"]),   "--softcap", number(a["softcap"])};
  if (inputs["Q"]["shape"].size() == 3) {
    run.arguments.insert(run.arguments.end(), {"--heads", a["q_num_heads"].dump(), "--kv-heads", a["kv_num_heads"].dump()});
  }
  add_positions(entry, run);
  if (inputs.contains("attn_mask")) {
    const bool keeps = inputs["attn_mask"]["dtype"] == "bool";
    run.arguments.insert(run.arguments.end(), {"--mask", array_of(entry, "attn_mask"), "--mask-type", keeps ? "keep" : "add"});
  }
  if (inputs.contains("past_key")) {
    run.arguments.insert(run.arguments.end(),
                         {"--past-key", array_of(entry, "past_key"), "--past-value", array_of(entry, "past_value")});
  }
  want(run, "Y", "-o");
  if (entry["outputs"].contains("present_key")) want(run, "present_key", "--present-key");
  if (entry["outputs"].contains("present_value")) want(run, "present_value", "--present-value");
  if (entry["outputs"].contains("qk_matmul_output")) {
    const int mode = a["qk_matmul_output_mode"];
    want(run, "qk_matmul_output", mode == 3 ? "--weights" : "--scores");
    const Words stages{"raw", "capped", "masked"};
    if (mode != 3) run.arguments.insert(run.arguments.end(), {"--scores-stage", stages.at(static_cast<std::size_t>(mode))});
  }
  return run;
}

/// The bias that a score modification adds to the pair (query i, key j), as an input file in `folder`.
void write_bias(const Json& entry, const Json& modification, const fs::path& folder) {
  const Shape shape{entry["inputs"]["Q"]["shape"][2], entry["inputs"]["K"]["shape"][2]};
  std::vector<double> values;
  for (std::size_t i = 0; i < shape[0]; ++i) {
    for (std::size_t j = 0; j < shape[1]; ++j) {
      const bool is_constant = modification["kind"] == "add_constant";
      values.push_back(is_constant ? modification["value"].get<double>() : static_cast<double>(i) - static_cast<double>(j));
    }
  }
  write_input(folder / "bias.npy", "float32", shape, values);
}

Translation translate_flex(const Json& entry, const fs::path& folder) {
  const Json& a = entry["attributes"];
  Translation run;
  if (!a["prob_mod"].is_null()) {
    run.refusal = "prob_mod changes the weights after the normalizer, which no option does";
    return run;
  }
  run.arguments = {"-q", array_of(entry, "Q"), "-k",      array_of(entry, "K"),
                   "-v", array_of(entry, "V"), "--scale", number(a["scale"])};
  const Json modification = a["score_mod"].is_null() ? Json{{"kind", "identity"}} : a["score_mod"];
  const std::string kind = modification["kind"];
  if (kind == "add_constant" || kind == "add_query_minus_key_index") {
    write_bias(entry, modification, folder);
    run.arguments.insert(run.arguments.end(), {"--bias", "bias.npy"});
  } else if (kind == "causal_top_left") {
    run.arguments.insert(run.arguments.end(), {"--causal", "--query-offset", "0"});
  } else if (kind == "softcap") {
    run.arguments.insert(run.arguments.end(), {"--softcap", number(modification["value"])});
  } else if (kind != "identity") {
    run.refusal = "unknown score_mod " + kind;
  }
  want(run, "Y", "-o");
  return run;
}

Translation translate_linear(const Json& entry) {
  const Json& a = entry["attributes"];
  Translation run{.command = "linear", .arguments = {}, .files = {}, .refusal = {}};
  std::string rule = a["update_rule"];
  std::ranges::replace(rule, '_', '-');
  run.arguments = {"--rule",          rule, "--heads", a["q_num_heads"].dump(), "--kv-heads", a["kv_num_heads"].dump(), "--scale",
                   number(a["scale"])};
  const std::map<std::string, std::string> flags{{"query", "-q"},      {"key", "-k"},      {"value", "-v"},
                                                 {"decay", "--decay"}, {"beta", "--beta"}, {"past_state", "--past-state"}};
  for (const auto& input : entry["inputs"].items())
    run.arguments.insert(run.arguments.end(), {flags.at(input.key()), array_of(entry, input.key())});
  want(run, "output", "-o");
  want(run, "present_state", "--present-state");
  return run;
}

Translation translate(const Json& entry, const fs::path& folder) {
  const std::string op = entry["op"];
  if (op == "Attention") return translate_attention(entry);
  if (op == "FlexAttention") return translate_flex(entry, folder);
  if (op == "LinearAttention") return translate_linear(entry);
  Translation run;
  run.refusal = op == "RotaryEmbedding"
                    ? "the rotated rows themselves are no output of attn run; --rope is held to the oracle instead"
                    : "unknown operator " + op;
  return run;
}

Array expected_of(const Json& entry, const std::string& name) {
  Listener listener;
  return read_array(FileName{.path = kFolder + entry["file"].get<std::string>(), .selector = name}, {}, listener).array;
}

void run_and_judge(const Json& entry, const Translation& run, const std::string& engine, const fs::path& folder) {
  const Words words = joined(joined({run.command}, run.arguments), {"--engine", engine});
  INFO("attn ", shell_text(words));
  const Outcome outcome = run_program(folder, words);
  INFO(outcome.messages);
  REQUIRE_EQ(outcome.ending, "0");
  const Json& tolerance = entry["tolerance_high_precision"];
  for (const auto& [name, file] : run.files) {
    const Judgement judgement =
        judge_each(read_result(folder / file), expected_of(entry, name), tolerance["rtol"], tolerance["atol"]);
    INFO(engine, ": ", name);
    CHECK_MESSAGE(judgement.defect.empty(), judgement.defect);
  }
}

}  // namespace

TEST_CASE("ONNX's node tests of Attention, FlexAttention and LinearAttention hold on both engines") {
  const Json manifest = Json::parse(std::ifstream(kFolder + "manifest.json"));
  REQUIRE_EQ(manifest.size(), 88);
  std::map<std::string, int> refused;
  int expressed = 0;
  for (const Json& entry : manifest) {
    const TemporaryDirectory folder;
    const Translation run = translate(entry, folder.path());
    if (!run.refusal.empty()) {
      ++refused[entry["op"].get<std::string>() + ": " + run.refusal];
      continue;
    }
    ++expressed;
    INFO(entry["name"].get<std::string>());
    // Every expected array is asked for.
    REQUIRE_EQ(run.files.size(), entry["outputs"].size());
    for (const std::string engine : {"reference", "tiled"}) run_and_judge(entry, run, engine, folder.path());
  }
  for (const auto& [reason, count] : refused) MESSAGE(fmt::format("{} not expressible: {}", count, reason));
  MESSAGE(fmt::format("{} of {} cases run on both engines", expressed, manifest.size()));
  CHECK_EQ(expressed, 82);
  CHECK_EQ(refused.size(), 2);
}
