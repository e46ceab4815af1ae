// attn mask: makes, combines, describes and draws masks.
#include "analysis/mask_facts.hpp"
#include "analysis/mask_picture.hpp"
#include "cli/commands.hpp"
#include "request/mask_request.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace attn::cli {

namespace {

struct MaskSettings {
  request::MaskRequest mask;
  std::string output = "-";
  std::optional<std::size_t> width;
  bool ascii = false;
  bool json = false;
  request::CommonSettings common;
};

using Rows = Table<MaskSettings>;

void add_making(Rows& rows) {
  using request::row;
  rows.push_back(row<MaskSettings>({.name = "ACTION",
                                    .metavar = "WORD",
                                    .group = "Arguments",
                                    .help = "what to do, then files (and A B.., or A B.., not A, info A, draw A)",
                                    .details = "Files are masks; flags that make a mask count as one more of them: attn mask and "
                                               "pad.npy --causal. Without a file, info and draw show what the flags make.",
                                    .positional = true,
                                    .repeated = true,
                                    .choices = {"make", "and", "or", "not", "info", "draw"}},
                                   [](auto& s) -> auto& { return s.mask.words; }));
  rows.push_back(row<MaskSettings>(
      {.name = "queries", .metavar = "N", .group = "Making", .help = "rows of the mask (default: as files or segments have)"},
      [](auto& s) -> auto& { return s.mask.queries; }));
  rows.push_back(row<MaskSettings>(
      {.name = "keys", .metavar = "N", .group = "Making", .help = "columns of the mask (default: as many as queries)"},
      [](auto& s) -> auto& { return s.mask.keys; }));
  rows.push_back(row<MaskSettings>({.name = "block-size",
                                    .metavar = "N",
                                    .group = "Making",
                                    .help = "key j stays if j and p are in the same block of N positions; 0 is off"},
                                   [](auto& s) -> auto& { return s.mask.block_size; }));
}

/// The rows that `attn run` has for masks: an option exists in one place.
void add_shared(Rows& rows) {
  constexpr std::array<std::string_view, 8> shared{"mask-type",   "causal",   "window",       "query-offset",
                                                   "key-lengths", "segments", "key-segments", "treat-below"};
  Table<request::RunRequest> chosen;
  for (const auto& row : request::run_table()) {
    if (std::ranges::find(shared, row.option.name) != shared.end()) chosen.push_back(row);
  }
  request::append(rows, chosen, [](auto& s) -> auto& { return s.mask.run; });
}

void add_output(Rows& rows) {
  using request::row;
  const std::string group = "Output";
  rows.push_back(row<MaskSettings>({.name = "output",
                                    .letter = 'o',
                                    .metavar = "F",
                                    .group = group,
                                    .help = "where the mask goes: bool as NPY, 1 and 0 as CSV; 1 stays"},
                                   [](auto& s) -> auto& { return s.output; }));
  rows.push_back(
      row<MaskSettings>({.name = "json", .group = group, .help = "info as JSON"}, [](auto& s) -> auto& { return s.json; }));
  rows.push_back(row<MaskSettings>({.name = "width",
                                    .metavar = "N",
                                    .group = group,
                                    .help = "columns that a drawing may take (default: the terminal's, or 80)"},
                                   [](auto& s) -> auto& { return s.width; }));
  rows.push_back(row<MaskSettings>({.name = "ascii", .group = group, .help = "draw without block characters"},
                                   [](auto& s) -> auto& { return s.ascii; }));
}

const Rows& mask_table() {
  static const Rows table = [] {
    Rows rows;
    add_making(rows);
    add_shared(rows);
    add_output(rows);
    request::append(rows, request::reading_table(), [](auto& s) -> auto& { return s.mask.run.reading; });
    request::append(rows, request::writing_table(), [](auto& s) -> auto& { return s.mask.run.writing; });
    request::append_common(rows);
    return rows;
  }();
  return table;
}

void write(const request::RequestedMask& mask, const MaskSettings& settings) {
  Outputs outputs;
  std::byte* memory = outputs.add(FileName::parse_output(settings.output), "mask", DType::boolean, mask.shape,
                                  settings.mask.run.writing.options());
  const analysis::MaskSize size = mask.rows->size();
  bool* at = reinterpret_cast<bool*>(memory);
  for (std::size_t row = 0; row < size.matrices() * size.queries; ++row, at += size.keys) {
    const std::size_t matrix = row / size.queries;
    mask.rows->row(matrix / size.heads, matrix % size.heads, row % size.queries, {at, size.keys});
  }
  outputs.commit();
}

Status mask(const MaskSettings& settings, Console& console) {
  const request::RequestedMask mask = request::read_mask(settings.mask, console);
  switch (mask.action) {
    case request::MaskAction::info: {
      const analysis::MaskFacts facts = analysis::mask_facts(*mask.rows);
      console.print(settings.json ? analysis::mask_facts_json(mask.title, facts, mask.remarks)
                                  : analysis::mask_facts_text(mask.title, facts, mask.remarks));
      break;
    }
    case request::MaskAction::draw:
      for (const std::string& remark : mask.remarks) console.warn(fmt::format("{}: {}", mask.title, remark));
      console.print(analysis::draw_mask(
          *mask.rows, {.width = settings.width.value_or(console.width()), .unicode = console.unicode() && !settings.ascii}));
      break;
    default:
      for (const std::string& remark : mask.remarks) console.warn(fmt::format("{}: {}", mask.title, remark));
      write(mask, settings);
  }
  return Status::ok;
}

}  // namespace

Command mask_command() {
  return make_command<MaskSettings>(
      {.name = "mask",
       .group = "Arrays",
       .summary = "make, combine, describe and draw masks",
       .usage = "attn mask [make|and|or|not|info|draw] [FILE...] [options]",
       .example = "attn mask draw --queries 16 --causal --window 4:",
       .description =
           "Masks hold 1 where a query may see a key. Flags mean what they mean for attn run. info counts what each query "
           "sees, says which flags make the same mask, and recognizes the usual mistakes: inverted, transposed, off by one."},
      mask_table, mask);
}

}  // namespace attn::cli
