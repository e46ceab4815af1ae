// Options that several commands share.
#include "request/common.hpp"

#include <cmath>

#include <fmt/format.h>

namespace attn::request {

ReadOptions ReadingSettings::options(DType text_type) const {
  return {.from = from,
          .delimiter = delimiter,
          .header = header,
          .text_type = text_type,
          .decimal = decimal,
          .missing = missing,
          .ragged_pad = ragged};
}

WriteOptions WritingSettings::options() const {
  WriteOptions result;
  result.to = to;
  result.deflate = deflate;
  return result;
}

const Table<CommonSettings>& common_table() {
  static const Table<CommonSettings> table{
      row<CommonSettings>({.name = "quiet", .group = "Messages", .help = "say only what is an error"},
                          [](auto& s) -> auto& { return s.quiet; }),
      row<CommonSettings>({.name = "verbose", .group = "Messages", .help = "say what was recognized and chosen"},
                          [](auto& s) -> auto& { return s.verbose; }),
      row<CommonSettings>({.name = "help", .letter = 'h', .group = "Messages", .help = "print this help"},
                          [](auto& s) -> auto& { return s.help; }),
  };
  return table;
}

const Table<ReadingSettings>& reading_table() {
  static const Table<ReadingSettings> table{
      row<ReadingSettings>({.name = "from",
                            .metavar = "FORMAT",
                            .group = "Reading files",
                            .help = "format of the main inputs, whatever their names say",
                            .details = "By default the extension says it; standard input is looked at: NPY, NPZ, else CSV."},
                           [](auto& s) -> auto& { return s.from; }),
      row<ReadingSettings>({.name = "delimiter",
                            .metavar = "C",
                            .group = "Reading files",
                            .help = "separator of CSV columns (default: found among , tab ; | blank)"},
                           [](auto& s) -> auto& { return s.delimiter; }),
      row<ReadingSettings>({.name = "header",
                            .metavar = "WHEN",
                            .group = "Reading files",
                            .help = "whether the first CSV row holds names",
                            .details = "auto takes the first row as a header when it has text where the next row has numbers."},
                           [](auto& s) -> auto& { return s.header; }),
      row<ReadingSettings>({.name = "decimal", .metavar = "C", .group = "Reading files", .help = "decimal point of CSV numbers"},
                           [](auto& s) -> auto& { return s.decimal; }),
      row<ReadingSettings>({.name = "na",
                            .metavar = "X",
                            .group = "Reading files",
                            .help = "value of empty, NA and null cells (default: an error)"},
                           [](auto& s) -> auto& { return s.missing; }),
      row<ReadingSettings>({.name = "ragged",
                            .metavar = "X",
                            .group = "Reading files",
                            .help = "value that fills rows which are too short (default: an error)"},
                           [](auto& s) -> auto& { return s.ragged; }),
      row<ReadingSettings>(
          {.name = "lossy", .group = "Reading files", .help = "round integers beyond 2^53 instead of refusing them"},
          [](auto& s) -> auto& { return s.lossy; }),
      row<ReadingSettings>({.name = "as-float", .group = "Reading files", .help = "let a bool array serve as numbers 0 and 1"},
                           [](auto& s) -> auto& { return s.as_float; }),
  };
  return table;
}

const Table<WritingSettings>& writing_table() {
  static const Table<WritingSettings> table{
      row<WritingSettings>({.name = "to",
                            .metavar = "FORMAT",
                            .group = "Writing files",
                            .help = "format of the output, whatever its name says",
                            .details = "By default the extension says it; standard output is CSV."},
                           [](auto& s) -> auto& { return s.to; }),
      row<WritingSettings>({.name = "deflate", .group = "Writing files", .help = "compress NPZ outputs"},
                           [](auto& s) -> auto& { return s.deflate; }),
  };
  return table;
}

void require_numbers(const Loaded& loaded, const ReadingSettings& reading) {
  const Array& array = loaded.array;
  if (array.dtype() == DType::boolean && !reading.as_float)
    throw Error(Status::data, {.file = loaded.name.text()}, "a bool array is a mask, not numbers",
                "to use it as 0 and 1: --as-float");
  if (reading.lossy || (array.dtype() != DType::i64 && array.dtype() != DType::u64)) return;
  constexpr std::int64_t limit = std::int64_t{1} << 53;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const bool fits = array.dtype() == DType::i64
                          ? array.values<std::int64_t>()[i] <= limit && array.values<std::int64_t>()[i] >= -limit
                          : array.values<std::uint64_t>()[i] <= static_cast<std::uint64_t>(limit);
    if (!fits)
      throw Error(Status::data, {.file = loaded.name.text()},
                  fmt::format("the integer at position {} is beyond 2^53 and has no exact floating-point value", i),
                  "to round it: --lossy");
  }
}

std::size_t first_nan(const Array& array, std::size_t from) {
  if (!is_floating(array.dtype())) return array.size();
  while (from < array.size() && !std::isnan(array.at_flat(from))) ++from;
  return from;
}

}  // namespace attn::request
