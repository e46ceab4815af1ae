// The record of a run.
#include "request/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
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

/// The largest resident set this process has had.
std::uint64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

std::string report_json(const RunRecord& record) {
  Json options = Json::object();
  for (const Row<RunRequest>& row : run_table()) {
    if (row.option.name != "help") options[row.option.name] = to_json(row.get(record.request));
  }
  Json inputs = Json::array();
  for (const auto& [role, loaded] : record.inputs->files)
    inputs.push_back(file_json(role, loaded.name.text(), loaded.array.shape(), loaded.array.dtype()));
  Json outputs = Json::array();
  for (const OutputPlan& p : record.outputs) outputs.push_back(file_json(p.role, p.file, p.shape, p.dtype));
  const engine::Dims& d = record.plan->dims;
  Json report{{"version", ATTN_VERSION},
              {"options", options},
              {"inputs", inputs},
              {"outputs", outputs},
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
              {"flops", record.estimate.flops},
              {"peak_bytes", peak_bytes()},
              {"threads", record.request.threads},
              {"isa", record.isa}};
  if (record.inputs->projection) report["parameters"] = parameters_json(*record.inputs->projection);
  // File names may hold any bytes; JSON holds text.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
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
  text += "inputs:\n";
  for (const auto& [role, loaded] : record.inputs->files)
    text += fmt::format("  {} {} {} {}\n", role, loaded.name.text(), to_string(loaded.array.shape()),
                        dtype_name(loaded.array.dtype()));
  if (record.inputs->projection) text += fmt::format("parameters: {}\n", record.inputs->projection->summary());
  text += "outputs:\n";
  for (const OutputPlan& p : record.outputs)
    text += fmt::format("  {} {} {} {}, {}\n", p.role, p.file, to_string(p.shape), dtype_name(p.dtype),
                        byte_text(element_count(p.shape, item_size(p.dtype)) * item_size(p.dtype)));
  const Estimate& e = record.estimate;
  text += fmt::format("bytes: {} in all = {} inputs + {} working + {} outputs\n", byte_text(e.total_bytes()),
                      byte_text(e.input_bytes), byte_text(e.working_bytes), byte_text(e.output_bytes));
  text += fmt::format("visible pairs: {:.6g}   flops: {:.4g}   expected seconds: {:.3g}\n", e.visible_pairs, e.flops,
                      expected_seconds);
  return text;
}

}  // namespace attn::request
