// attn info: what is in files.
#include "analysis/inspect.hpp"
#include "cli/commands.hpp"

namespace attn::cli {

namespace {

enum class InfoFormat { text, json, csv };

}  // namespace

}  // namespace attn::cli

namespace attn::request {

template <>
struct Names<cli::InfoFormat> {
  static constexpr std::array<std::pair<std::string_view, cli::InfoFormat>, 3> list{
      {{"text", cli::InfoFormat::text}, {"json", cli::InfoFormat::json}, {"csv", cli::InfoFormat::csv}}};
};

}  // namespace attn::request

namespace attn::cli {

namespace {

struct InfoSettings {
  std::vector<std::string> files;
  bool stats = false;
  InfoFormat to = InfoFormat::text;
  request::ReadingSettings reading;
  request::CommonSettings common;
};

const Table<InfoSettings>& info_table() {
  static const Table<InfoSettings> table = [] {
    using request::row;
    Table<InfoSettings> rows{
        row<InfoSettings>({.name = "FILE",
                           .metavar = "F",
                           .group = "Arguments",
                           .help = "arrays, or files of arrays",
                           .positional = true,
                           .repeated = true},
                          [](auto& s) -> auto& { return s.files; }),
        row<InfoSettings>({.name = "stats",
                           .group = "Output",
                           .help = "describe the elements of every array of an NPZ or safetensors file",
                           .details = "Without it a file with several arrays is listed; FILE:NAME describes one."},
                          [](auto& s) -> auto& { return s.stats; }),
        row<InfoSettings>({.name = "to", .metavar = "FORMAT", .group = "Output", .help = "for people or for programs"},
                          [](auto& s) -> auto& { return s.to; }),
    };
    request::append_reading(rows);
    request::append_common(rows);
    return rows;
  }();
  return table;
}

Status info(const InfoSettings& settings, Console& console) {
  if (settings.files.empty()) throw Error(Status::usage, "which file?", "attn info FILE...");
  std::vector<analysis::ArrayReport> reports;
  std::vector<analysis::LayersReport> layers;
  for (const std::string& file : settings.files) {
    for (analysis::ArrayReport& report :
         analysis::inspect(FileName::parse(file), settings.reading.options(DType::f32), settings.stats, console))
      reports.push_back(std::move(report));
    if (settings.to == InfoFormat::csv) continue;
    if (auto found = analysis::attention_layers(FileName::parse(file), console)) layers.push_back(std::move(*found));
  }
  switch (settings.to) {
    case InfoFormat::text:
      console.print(analysis::inspect_text(reports) + analysis::layers_text(layers));
      break;
    case InfoFormat::json:
      console.print(analysis::inspect_json(reports, layers));
      break;
    case InfoFormat::csv:
      console.print(analysis::inspect_csv(reports));
      break;
  }
  return Status::ok;
}

}  // namespace

Command info_command() {
  return make_command<InfoSettings>(
      {.name = "info",
       .group = "Arrays",
       .summary = "say what is in a file: shape, type, range, NaN, norms, and what will hurt",
       .usage = "attn info FILE... [options]",
       .example = "attn info weights.npz:Wq",
       .description =
           "Rows are the last axis, columns its entries; min, mean and max are those of the finite numbers. Integer and "
           "bool arrays with at most 16 different values have them counted. Of checkpoints (safetensors, NPZ, or the "
           "*.index.json of one "
           "in parts) the attention layers are listed: what to give --params-prefix, the naming scheme, the heads where "
           "config.json or "
           "the tensors tell them, and the widths of the projections."},
      info_table, info);
}

}  // namespace attn::cli
