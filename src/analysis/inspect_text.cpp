// Descriptions of arrays as text, JSON and CSV.
#include "analysis/inspect.hpp"
#include "analysis/reals.hpp"
#include "base/json_number.hpp"
#include "io/csv.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace attn::analysis {

namespace {

std::string order(const ArrayEntry& entry) { return entry.column_major ? "column-major" : "row-major"; }
std::string byte_order(const ArrayEntry& entry) { return entry.big_endian ? "big-endian" : "little-endian"; }

/// "x.npy", or "case.npz:Q".
std::string title(const ArrayReport& report) {
  if (report.file == "-") return "standard input";
  return report.entry.name.empty() ? report.file : fmt::format("{}:{}", report.file, report.entry.name);
}

std::string number_or_dash(double x) { return std::isnan(x) ? "-" : number(x); }

void describe_values(std::string& text, const Description& d) {
  const auto whole = [&](double x) {
    return is_floating(d.dtype) || std::isnan(x) ? number_or_dash(x) : fmt::format("{:.0f}", x);
  };
  text += fmt::format("  values    min {}  mean {}  max {}", whole(d.finite.min), number_or_dash(d.mean), whole(d.finite.max));
  const std::size_t infinite = d.positive_infinite + d.negative_infinite;
  text += fmt::format("  NaN {}  infinite {}\n", d.nan.count, infinite);
  if (!d.counts.empty()) {
    text += "  counts    ";
    for (std::size_t i = 0; i < d.counts.size(); ++i)
      text += fmt::format("{}{}: {}", i == 0 ? "" : ", ", d.counts[i].first, d.counts[i].second);
    text += "\n";
  }
  text +=
      fmt::format("  rows      {} of {} numbers; norms min {}  median {}  max {}; {} zero\n", d.rows, d.width,
                  number_or_dash(d.norms.min), number_or_dash(d.norms.median), number_or_dash(d.norms.max), d.zero_rows.count);
}

std::string paragraph(const ArrayReport& report) {
  const ArrayEntry& e = report.entry;
  std::string text =
      fmt::format("{}\n  array     {} {}, {} bytes\n", title(report), e.type_name, to_string(e.shape), report.bytes);
  if (e.storage == "text") {
    text += "  storage   text\n";
  } else {
    text += fmt::format("  storage   {}, {}, {}\n", e.storage, order(e), byte_order(e));
  }
  for (const std::string& note : report.notes) text += fmt::format("  reading   {}\n", note);
  if (!e.refusal.empty()) text += fmt::format("  warning   {}\n", e.refusal);
  if (!report.description) return text;
  describe_values(text, *report.description);
  for (const std::string& warning : warnings(*report.description)) text += fmt::format("  warning   {}\n", warning);
  return text;
}

/// Arrays without a description, aligned.
std::string table(const std::vector<const ArrayReport*>& rows) {
  std::size_t widest = 4;
  std::size_t widest_type = 5;
  std::size_t widest_shape = 5;
  for (const ArrayReport* r : rows) {
    widest = std::max(widest, title(*r).size());
    widest_type = std::max(widest_type, r->entry.type_name.size());
    widest_shape = std::max(widest_shape, to_string(r->entry.shape).size());
  }
  std::string text;
  for (const ArrayReport* r : rows) {
    text += fmt::format("{:<{}}  {:<{}}  {:<{}}  {} bytes{}{}{}{}\n", title(*r), widest, r->entry.type_name, widest_type,
                        to_string(r->entry.shape), widest_shape, r->bytes, r->entry.storage.empty() ? "" : ", ", r->entry.storage,
                        r->entry.refusal.empty() ? "" : "; ", r->entry.refusal);
  }
  return text;
}

Json spread_json(const Spread& spread) {
  return {{"min", json_number(spread.min)}, {"median", json_number(spread.median)}, {"max", json_number(spread.max)}};
}

Json description_json(const Description& d) {
  Json counts = Json::array();
  for (const auto& [value, count] : d.counts) counts.push_back({{"value", value}, {"count", count}});
  return {{"min", json_number(d.finite.min)},
          {"mean", json_number(d.mean)},
          {"max", json_number(d.finite.max)},
          {"nan", d.nan.count},
          {"positive_infinite", d.positive_infinite},
          {"negative_infinite", d.negative_infinite},
          {"rows", d.rows},
          {"row_norms", spread_json(d.norms)},
          {"nan_rows", d.nan_rows.count},
          {"zero_rows", d.zero_rows.count},
          {"constant_columns", d.constant_columns.count},
          {"counts", counts},
          {"warnings", warnings(d)}};
}

Json layer_json(const LayerReport& layer) {
  Json json{{"prefix", layer.prefix}};
  if (!layer.problem.empty()) json["problem"] = layer.problem;
  if (!layer.set) return json;
  const model::AttentionSet& set = *layer.set;
  json["scheme"] = set.scheme->name;
  const auto head_number = [&](std::size_t model::HeadCounts::*number) {
    return layer.heads ? Json((*layer.heads).*number) : Json(nullptr);
  };
  json["heads"] = head_number(&model::HeadCounts::heads);
  json["kv_heads"] = head_number(&model::HeadCounts::kv_heads);
  json["head_dim"] = head_number(&model::HeadCounts::head_dim);
  json["value_dim"] = head_number(&model::HeadCounts::value_dim);
  json["heads_from"] = layer.heads ? Json(layer.heads->source) : Json(nullptr);
  const auto widths = [](model::Widths w) { return Json{{"in", w.in}, {"out", w.out}}; };
  json["query"] = widths(set.query);
  json["key"] = widths(set.key);
  json["value"] = widths(set.value);
  json["output"] = widths(set.output);
  json["biases"] = set.has_bias();
  Json tensors = Json::array();
  for (const model::NamedRole& tensor : set.tensors) tensors.push_back(tensor.name);
  json["tensors"] = std::move(tensors);
  return json;
}

}  // namespace

std::string inspect_text(const std::vector<ArrayReport>& reports) {
  std::string text;
  std::vector<const ArrayReport*> listed;
  for (const ArrayReport& report : reports) {
    if (report.description || reports.size() == 1) {
      text += paragraph(report);
    } else {
      listed.push_back(&report);
    }
  }
  return text + table(listed);
}

std::string inspect_json(const std::vector<ArrayReport>& reports, const std::vector<LayersReport>& layers) {
  Json all = Json::array();
  for (const ArrayReport& r : reports) {
    Json one{{"file", r.file},   {"array", r.entry.name},      {"dtype", r.entry.type_name}, {"shape", r.entry.shape},
             {"bytes", r.bytes}, {"storage", r.entry.storage}, {"order", order(r.entry)},    {"byte_order", byte_order(r.entry)},
             {"notes", r.notes}};
    if (!r.entry.refusal.empty()) one["refusal"] = r.entry.refusal;
    if (r.description) one.update(description_json(*r.description));
    all.push_back(std::move(one));
  }
  for (const LayersReport& report : layers) {
    Json list = Json::array();
    for (const LayerReport& layer : report.layers) list.push_back(layer_json(layer));
    Json one{{"file", report.file}, {"attention_layers", std::move(list)}};
    if (!report.config.empty()) one["config"] = report.config;
    all.push_back(std::move(one));
  }
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string inspect_csv(const std::vector<ArrayReport>& reports) {
  std::string text =
      "file,array,dtype,shape,bytes,storage,min,mean,max,nan,positive_infinite,negative_infinite,rows,norm_min,norm_median,norm_"
      "max,"
      "nan_rows,zero_rows,constant_columns\n";
  for (const ArrayReport& r : reports) {
    text += fmt::format("{},{},{},{},{},{}", csv_cell(r.file), csv_cell(r.entry.name), csv_cell(r.entry.type_name),
                        fmt::format("{}", fmt::join(r.entry.shape, "x")), r.bytes, r.entry.storage);
    if (!r.description) {
      text += std::string(13, ',') + "\n";
      continue;
    }
    const Description& d = *r.description;
    text += fmt::format(",{},{},{},{},{},{},{},{},{},{},{},{},{}\n", shortest(d.finite.min), shortest(d.mean),
                        shortest(d.finite.max), d.nan.count, d.positive_infinite, d.negative_infinite, d.rows,
                        shortest(d.norms.min), shortest(d.norms.median), shortest(d.norms.max), d.nan_rows.count,
                        d.zero_rows.count, d.constant_columns.count);
  }
  return text;
}

}  // namespace attn::analysis
