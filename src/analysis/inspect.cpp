// Files described for people and programs: the arrays in them and what they hold.
#include "analysis/inspect.hpp"

#include <fmt/format.h>

namespace attn::analysis {

namespace {

/// Keeps what reading has to say about the file, and hands warnings on.
class NoteKeeper final : public Reporter {
 public:
  NoteKeeper(Reporter& next, std::string prefix) : next_(next), prefix_(std::move(prefix)) {}
  void warn(const std::string& message) override { next_.warn(message); }
  void note(const std::string& message) override {
    notes.push_back(message.starts_with(prefix_) ? message.substr(prefix_.size()) : message);
  }
  std::vector<std::string> notes;

 private:
  Reporter& next_;
  std::string prefix_;
};

ArrayEntry entry_of(const Loaded& loaded) {
  ArrayEntry entry;
  entry.dtype = loaded.array.dtype();
  entry.type_name = dtype_name(loaded.array.dtype());
  entry.shape = loaded.array.shape();
  entry.storage = is_text(loaded.format) ? "text" : loaded.mapped ? "mapped" : "memory";
  if (!is_text(loaded.format)) entry.name = loaded.name.selector;
  return entry;
}

/// Standard input and text are read once, elements and all.
bool read_at_once(const FileName& name, const ReadOptions& options) {
  if (name.is_standard_stream()) return true;
  const std::optional<Format> format = options.from ? options.from : format_of_path(name.path);
  return format && is_text(*format);
}

ArrayReport report_of(const std::string& file, const ArrayEntry& entry) {
  ArrayReport report;
  report.file = file;
  report.entry = entry;
  if (entry.dtype) report.bytes = element_count(entry.shape) * item_size(*entry.dtype);
  return report;
}

}  // namespace

std::vector<ArrayReport> inspect(const FileName& name, const ReadOptions& options, bool all, Reporter& reporter) {
  NoteKeeper keeper(reporter, (name.is_standard_stream() ? "standard input" : name.path) + ": ");
  std::vector<ArrayReport> reports;
  if (read_at_once(name, options)) {
    const Loaded loaded = read_array(name, options, keeper);
    reports.push_back(report_of(name.text(), entry_of(loaded)));
    reports.back().description = describe(loaded.array);
    reports.back().notes = keeper.notes;
    return reports;
  }
  const bool is_index = name.path.ends_with(".index.json");
  const std::vector<ArrayEntry> entries =
      is_index ? model::ParameterFile(name.text(), keeper).entries() : list_arrays(name, options, keeper);
  for (const ArrayEntry& entry : entries) {
    if (!name.selector.empty() && !entry.name.empty() && entry.name != name.selector) continue;
    reports.push_back(report_of(name.path, entry));
  }
  for (ArrayReport& report : reports) {
    if (is_index || (reports.size() > 1 && !all) || !report.entry.refusal.empty()) continue;
    FileName one = name;
    if (!report.entry.name.empty()) one.selector = report.entry.name;
    report.description = describe(read_array(one, options, keeper).array);
  }
  // A selector that names nothing: the reader says so best.
  if (reports.empty() && !name.selector.empty()) (void)read_array(name, options, keeper);
  if (reports.size() == 1) reports.front().notes = keeper.notes;
  return reports;
}

}  // namespace attn::analysis
