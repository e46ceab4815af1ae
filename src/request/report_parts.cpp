// The pieces that the records of all runs are made of.
#include "request/report_parts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

namespace attn::request {

namespace {

Json file_json(const std::string& role, const std::string& file, const Shape& shape, DType dtype) {
  return {{"role", role}, {"file", file}, {"shape", shape}, {"dtype", dtype_name(dtype)}};
}

}  // namespace

Json option_json(const OptionValue& value) {
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

Json inputs_json(const ReadFiles& files) {
  Json inputs = Json::array();
  for (const auto& [role, loaded] : files)
    inputs.push_back(file_json(role, loaded.name.text(), loaded.array.shape(), loaded.array.dtype()));
  return inputs;
}

Json outputs_json(const std::vector<OutputPlan>& outputs) {
  Json result = Json::array();
  for (const OutputPlan& p : outputs) result.push_back(file_json(p.role, p.file, p.shape, p.dtype));
  return result;
}

Json shape_json(const engine::Dims& d) {
  return {{"batch", d.batch},   {"heads", d.heads},       {"kv_heads", d.kv_heads},  {"q_len", d.q_len},
          {"kv_len", d.kv_len}, {"head_dim", d.head_dim}, {"value_dim", d.value_dim}};
}

Json seconds_json(const Seconds& s) { return {{"read", s.read}, {"attend", s.attend}, {"write", s.write}, {"total", s.total}}; }

std::uint64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::string record_text(const Json& record) {
  // File names may hold any bytes; JSON holds text.
  return record.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string inputs_text(const ReadFiles& files) {
  std::string text = "inputs:\n";
  for (const auto& [role, loaded] : files)
    text += fmt::format("  {} {} {} {}\n", role, loaded.name.text(), to_string(loaded.array.shape()),
                        dtype_name(loaded.array.dtype()));
  return text;
}

std::string outputs_text(const std::vector<OutputPlan>& outputs) {
  std::string text = "outputs:\n";
  for (const OutputPlan& p : outputs)
    text += fmt::format("  {} {} {} {}, {}\n", p.role, p.file, to_string(p.shape), dtype_name(p.dtype),
                        byte_text(element_count(p.shape, item_size(p.dtype)) * item_size(p.dtype)));
  return text;
}

std::string bytes_text(const Estimate& e) {
  return fmt::format("bytes: {} in all = {} inputs + {} working + {} outputs\n", byte_text(e.total_bytes()),
                     byte_text(e.input_bytes), byte_text(e.working_bytes), byte_text(e.output_bytes));
}

}  // namespace attn::request
