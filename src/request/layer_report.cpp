// The record of a run of layers.
#include "request/layer_report.hpp"

#include "request/report_parts.hpp"

#include <fmt/format.h>

namespace attn::request {

namespace {

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

}  // namespace

std::string layer_report_json(const LayerRecord& record) {
  Json layers = Json::array();
  for (const StackedLayer& layer : record.inputs->layers) layers.push_back(layer_json(layer));
  return record_text({{"version", ATTN_VERSION},
                      {"options", options_json(layer_table(), record.request)},
                      {"inputs", inputs_json(record.inputs->files)},
                      {"outputs", outputs_json(record.plan.outputs)},
                      {"layers", std::move(layers)},
                      {"config", record.inputs->config ? Json(record.inputs->config->path) : Json(nullptr)},
                      {"shape", shape_json(record.plan.dims)},
                      {"seconds", seconds_json(record.seconds)},
                      {"flops", record.plan.estimate.flops},
                      {"peak_bytes", peak_bytes()},
                      {"threads", record.request.run.threads},
                      {"isa", record.isa}});
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
  text += inputs_text(record.inputs->files) + outputs_text(record.plan.outputs) + bytes_text(record.plan.estimate);
  text += fmt::format("flops: {:.4g}   expected seconds: {:.3g}\n", record.plan.estimate.flops, expected_seconds);
  return text;
}

}  // namespace attn::request
