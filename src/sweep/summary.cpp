// DIR/summary.csv: a table of all runs in the ledgers.
#include "sweep/summary.hpp"

#include "io/csv.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::sweep {

namespace {

std::string cell(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return csv_cell(value.get<std::string>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const Json& part : value) parts.push_back(part.is_string() ? part.get<std::string>() : part.dump());
    return csv_cell(fmt::format("{}", fmt::join(parts, " ")));
  }
  return csv_cell(value.dump());
}

const Json* member(const Json& record, const char* part, const std::string& name) {
  const auto at = record.find(part);
  if (at == record.end() || !at->is_object()) return nullptr;
  const auto value = at->find(name);
  return value == at->end() ? nullptr : &*value;
}

/// The names below `part` in the order they first appear.
std::vector<std::string> names_below(const std::vector<const Json*>& records, const char* part) {
  std::vector<std::string> names;
  for (const Json* record : records) {
    const auto at = record->find(part);
    if (at == record->end() || !at->is_object()) continue;
    for (const auto& [name, value] : at->items())
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

bool differs(const std::vector<const Json*>& records, const std::string& option) {
  const auto text = [&](const Json& record) {
    const Json* value = member(record, "options", option);
    return value == nullptr ? std::string() : value->dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  return std::ranges::any_of(records, [&](const Json* record) { return text(*record) != text(*records.front()); });
}

std::vector<std::string> output_files(const Json& record) {
  std::vector<std::string> files;
  const auto outputs = record.find("outputs");
  if (outputs == record.end() || !outputs->is_array()) return files;
  for (const Json& output : *outputs)
    if (output.is_object() && output.contains("file") && output["file"].is_string()) files.push_back(output["file"]);
  return files;
}

std::size_t number_of(const Json& record) {
  return record.contains("number") && record["number"].is_number_unsigned() ? record["number"].get<std::size_t>() : 0;
}

}  // namespace

std::string summary_csv(const std::map<std::string, Json>& records) {
  std::vector<const Json*> rows;
  for (const auto& [id, record] : records) rows.push_back(&record);
  std::ranges::stable_sort(rows, {}, [](const Json* record) { return number_of(*record); });
  std::vector<std::string> all_options = names_below(rows, "options");
  std::erase_if(all_options, [&](const std::string& option) { return !differs(rows, option); });
  const std::vector<std::string> options = std::move(all_options);
  const std::vector<std::string> metrics = names_below(rows, "metrics");
  const std::vector<std::string> compare = names_below(rows, "compare");
  std::vector<std::string> header{"number", "id", "status", "exit"};
  for (const auto* part : {&options, &metrics, &compare})
    for (const std::string& name : *part) header.push_back(csv_cell(name));
  header.insert(header.end(), {"seconds", "outputs", "error"});
  std::string text = fmt::format("{}\n", fmt::join(header, ","));
  for (const Json* row : rows) {
    std::vector<std::string> cells;
    for (const char* name : {"number", "id", "status", "exit"}) cells.push_back(row->contains(name) ? cell((*row)[name]) : "");
    const auto add = [&](const char* part, const std::vector<std::string>& names) {
      for (const std::string& name : names) {
        const Json* value = member(*row, part, name);
        cells.push_back(value == nullptr ? "" : cell(*value));
      }
    };
    add("options", options);
    add("metrics", metrics);
    add("compare", compare);
    cells.push_back(row->contains("seconds") ? cell((*row)["seconds"]) : "");
    cells.push_back(csv_cell(fmt::format("{}", fmt::join(output_files(*row), " "))));
    cells.push_back(row->contains("error") ? cell((*row)["error"]) : "");
    text += fmt::format("{}\n", fmt::join(cells, ","));
  }
  return text;
}

void write_summary(const std::string& folder) {
  const std::map<std::string, Json> records = read_ledgers(folder);
  if (records.empty()) throw Error(Status::io, {folder}, "there is no ledger with runs (expected runs.jsonl)");
  Outputs files;
  files.add_text({.path = folder + "/summary.csv", .selector = {}},
                 [&](Outputs::TextSink& sink) { sink.write(summary_csv(records)); });
  files.commit();
}

}  // namespace attn::sweep
