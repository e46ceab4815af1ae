// The record of a run.
#include "request/report.hpp"

#include "engine/engine.hpp"
#include "request/report_parts.hpp"

#include <utility>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// What was recognized in --params.
Json parameters_json(const Projection& projection) {
  const model::AttentionSet& set = projection.parameters().set;
  const model::HeadCounts& heads = projection.heads();
  Json tensors = Json::array();
  for (const model::NamedRole& tensor : set.tensors) tensors.push_back(tensor.name);
  const auto widths = [](model::Widths w) { return Json{{"in", w.in}, {"out", w.out}}; };
  return {{"prefix", set.prefix},
          {"scheme", set.scheme->name},
          {"heads", heads.heads},
          {"kv_heads", heads.kv_heads},
          {"heads_from", heads.source.empty() ? Json(nullptr) : Json(heads.source)},
          {"config", projection.config() ? Json(projection.config()->path) : Json(nullptr)},
          {"query", widths(set.query)},
          {"key", widths(set.key)},
          {"value", widths(set.value)},
          {"output", widths(set.output)},
          {"biases", set.has_bias()},
          {"tensors", std::move(tensors)}};
}

}  // namespace

std::string isa_of(const RunRequest& request) {
  if (request.engine != EngineChoice::reference) return engine::selected_isa(request.isa);
  if (!request.isa.empty())
    throw Error(Status::usage, "--isa chooses the vector instructions of the tiled engine; the reference engine has none");
  return "none";
}

std::string report_json(const RunRecord& record) {
  Json report{{"version", ATTN_VERSION},
              {"options", options_json(run_table(), record.request)},
              {"inputs", inputs_json(record.inputs->files)},
              {"outputs", outputs_json(record.outputs)},
              {"shape", shape_json(record.plan->dims)},
              {"seconds", seconds_json(record.seconds)},
              {"flops", record.estimate.flops},
              {"peak_bytes", peak_bytes()},
              {"threads", record.request.threads},
              {"isa", record.isa}};
  if (record.inputs->projection) report["parameters"] = parameters_json(*record.inputs->projection);
  return record_text(report);
}

void add_report(Outputs& outputs, const std::string& file, std::function<std::string()> json) {
  if (file.empty()) return;
  outputs.add_text(FileName::parse_output(file), [json = std::move(json)](Outputs::TextSink& sink) { sink.write(json()); });
}

std::string plan_text(const RunRecord& record, double expected_seconds) {
  const engine::Dims& d = record.plan->dims;
  std::string text = fmt::format(
      "batch {}  heads {}  kv_heads {}  q_len {}  kv_len {}  head_dim {}  value_dim {}\n"
      "computed in {} by the {} engine ({}), {} threads\n",
      d.batch, d.heads, d.kv_heads, d.q_len, d.kv_len, d.head_dim, d.value_dim, name_of(record.request.dtype),
      name_of(record.request.engine), record.isa, record.request.threads);
  text += "options:\n";
  const RunRequest defaults;
  for (const Row<RunRequest>& row : run_table()) {
    const std::string value = to_text(row.get(record.request));
    if (value != to_text(row.get(defaults)) && row.option.name != "dry-run")
      text += fmt::format("  {} {}\n", row.option.name, value);
  }
  text += inputs_text(record.inputs->files);
  if (record.inputs->projection) text += fmt::format("parameters: {}\n", record.inputs->projection->summary());
  text += outputs_text(record.outputs) + bytes_text(record.estimate);
  text += fmt::format("visible pairs: {:.6g}   flops: {:.4g}   expected seconds: {:.3g}\n", record.estimate.visible_pairs,
                      record.estimate.flops, expected_seconds);
  return text;
}

}  // namespace attn::request
