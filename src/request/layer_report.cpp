// The record of a run of layers.
#include "request/layer_report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

namespace attn::request {

namespace {

using Json = nlohmann::ordered_json;

Json to_json(const OptionValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::monostate>) {
          return nullptr;
        } else {
          return v;
        }
      },
      value);
}

Json file_json(const std::string& role, const std::string& file, const Shape& shape, DType dtype) {
  return {{"role", role}, {"file", file}, {"shape", shape}, {"dtype", dtype_name(dtype)}};
}

/// What was recognized and decided for one layer.
Json layer_json(const StackedLayer& layer) {
  const model::LayerParameters& p = layer.parameters;
  return {{"prefix", p.set.prefix},
          {"scheme", p.set.scheme->name},
          {"heads", layer.heads.heads},
          {"kv_heads", layer.heads.kv_heads},
          {"heads_from", layer.heads.source.empty() ? Json(nullptr) : Json(layer.heads.source)},
          {"width", p.set.width},
          {"hidden", p.set.hidden},
          {"cross_attention", p.set.cross.has_value()},
          {"gated", p.is_gated()},
          {"activation", name_of(layer.activation)},
          {"norm", name_of(layer.order)},
          {"norm_kind", p.attention_norm.keeps_mean ? "RMSNorm" : "LayerNorm"},
          {"norm_eps", p.attention_norm.epsilon},
          {"causal", layer.self.causal},
          {"rope", name_of(layer.self.rope)},
          {"tensors", p.set.names()}};
}

/// The largest resident set this process has had.
std::uint64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

std::string layer_report_json(const LayerRecord& record) {
  Json options = Json::object();
  for (const Row<LayerRequest>& row : layer_table()) {
    if (row.option.name != "help") options[row.option.name] = to_json(row.get(record.request));
  }
  Json inputs = Json::array();
  for (const auto& [role, loaded] : record.inputs->files)
    inputs.push_back(file_json(role, loaded.name.text(), loaded.array.shape(), loaded.array.dtype()));
  Json outputs = Json::array();
  for (const OutputPlan& p : record.plan.outputs) outputs.push_back(file_json(p.role, p.file, p.shape, p.dtype));
  Json layers = Json::array();
  for (const StackedLayer& layer : record.inputs->layers) layers.push_back(layer_json(layer));
  const engine::Dims& d = record.plan.dims;
  const Json report{{"version", ATTN_VERSION},
                    {"options", options},
                    {"inputs", inputs},
                    {"outputs", outputs},
                    {"layers", layers},
                    {"config", record.inputs->config ? Json(record.inputs->config->path) : Json(nullptr)},
                    {"shape",
                     {{"batch", d.batch},
                      {"heads", d.heads},
                      {"kv_heads", d.kv_heads},
                      {"q_len", d.q_len},
                      {"kv_len", d.kv_len},
                      {"head_dim", d.head_dim},
                      {"value_dim", d.value_dim}}},
                    {"seconds",
                     {{"read", record.seconds.read},
                      {"attend", record.seconds.attend},
                      {"write", record.seconds.write},
                      {"total", record.seconds.total}}},
                    {"flops", record.plan.estimate.flops},
                    {"peak_bytes", peak_bytes()},
                    {"threads", record.request.run.threads},
                    {"isa", record.isa}};
  // File names may hold any bytes; JSON holds text.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string layer_plan_text(const LayerRecord& record, double expected_seconds) {
  const engine::Dims& d = record.plan.dims;
  const RunRequest& r = record.request.run;
  std::string text = fmt::format(
      "batch {}  heads {}  kv_heads {}  length {}  head_dim {}  width {}\n"
      "computed in {} by the {} engine ({}), {} threads\n",
      d.batch, d.heads, d.kv_heads, d.q_len, d.head_dim, record.inputs->width(), name_of(r.dtype), name_of(r.engine), record.isa,
      r.threads);
  text += "layers:\n";
  for (const StackedLayer& layer : record.inputs->layers) text += fmt::format("  {}\n", layer.summary());
  text += "inputs:\n";
  for (const auto& [role, loaded] : record.inputs->files)
    text += fmt::format("  {} {} {} {}\n", role, loaded.name.text(), to_string(loaded.array.shape()),
                        dtype_name(loaded.array.dtype()));
  text += "outputs:\n";
  for (const OutputPlan& p : record.plan.outputs)
    text += fmt::format("  {} {} {} {}, {}\n", p.role, p.file, to_string(p.shape), dtype_name(p.dtype),
                        byte_text(element_count(p.shape, item_size(p.dtype)) * item_size(p.dtype)));
  const Estimate& e = record.plan.estimate;
  text += fmt::format("bytes: {} in all = {} inputs + {} working + {} outputs\n", byte_text(e.total_bytes()),
                      byte_text(e.input_bytes), byte_text(e.working_bytes), byte_text(e.output_bytes));
  text += fmt::format("flops: {:.4g}   expected seconds: {:.3g}\n", e.flops, expected_seconds);
  return text;
}

}  // namespace attn::request
