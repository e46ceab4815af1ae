// CSV, differential: the fast lane, cut into tiny blocks for several threads, against libcsv: the same values, names and errors.
// The first byte of the input chooses the reading options, the rest is the text.
#include "fuzz/fuzz.hpp"
#include "io/csv.hpp"

#include <string_view>

using namespace attn;

namespace {

/// All that a caller can see of one reading.
struct Outcome {
  bool read = false;
  Loaded loaded;
  std::string error;
  std::string notes;
};

class Notes : public Reporter {
 public:
  void warn(const std::string& message) override { text += "warning: " + message + "\n"; }
  void note(const std::string& message) override { text += "note: " + message + "\n"; }
  std::string text;
};

Outcome read(std::string_view text, const FileName& name, const ReadOptions& options, const CsvTuning& tuning) {
  Outcome outcome;
  Notes notes;
  try {
    outcome.loaded = parse_csv(text, name, options, notes, tuning);
    outcome.read = true;
    fuzz::touch(outcome.loaded.array);
  } catch (const Error& error) {
    const bool allowed = error.status() == Status::data || error.status() == Status::usage || error.status() == Status::memory;
    fuzz::require(allowed, std::string("status: ") + error.what());
    outcome.error = std::to_string(static_cast<int>(error.status())) + " " + error.where().file + ":" +
                    std::to_string(error.where().line) + ":" + std::to_string(error.where().column) + ": " + error.what() + " (" +
                    error.hint() + ")";
  }
  outcome.notes = notes.text;
  return outcome;
}

/// NaN has many bits and one spelling in text, so bytes can be compared.
void compare(const Outcome& one, const Outcome& other, const char* what) {
  const std::string where = std::string(what) + ": ";
  fuzz::require(one.error == other.error, where + "'" + one.error + "' against '" + other.error + "'");
  if (!one.read || !other.read) return;
  fuzz::require(
      fuzz::same_bytes(one.loaded.array, other.loaded.array),
      where + "other values, shapes " + to_string(one.loaded.array.shape()) + " and " + to_string(other.loaded.array.shape()));
  fuzz::require(one.loaded.columns == other.loaded.columns, where + "other column names");
  fuzz::require(one.notes == other.notes, where + "other notes: " + one.notes + " against " + other.notes);
}

ReadOptions options_from(std::uint8_t choice) {
  ReadOptions options;
  options.text_type = (choice & 1U) != 0 ? DType::f64 : DType::f32;
  if ((choice & 2U) != 0) options.missing = 0.5;
  if ((choice & 4U) != 0) options.ragged_pad = -1.0;
  if ((choice & 8U) != 0) options.from = Format::tsv;
  if ((choice & 16U) != 0) options.header = (choice & 32U) != 0 ? Header::yes : Header::no;
  if ((choice & 64U) != 0) options.delimiter = (choice & 32U) != 0 ? ';' : ' ';
  if ((choice & 128U) != 0) options.decimal = ',';
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ReadOptions options = options_from(data[0]);
  const fuzz::Copy input(data + 1, size - 1);
  const std::string_view text(reinterpret_cast<const char*>(input.bytes.data()), input.bytes.size());
  const char* const selectors[] = {"", "2..", "a", "1,1"};
  const FileName name{"x.csv", selectors[(size >> 3U) % 4]};

  const Outcome quoted = read(text, name, options, {CsvLane::quoted, 1, 1});
  const Outcome automatic = read(text, name, options, {CsvLane::automatic, 3, 7});
  compare(automatic, quoted, "automatic and libcsv");
  if (text.find('"') == std::string_view::npos)
    compare(read(text, name, options, {CsvLane::plain, 2, 1}), quoted, "plain and libcsv");
  fuzz::Silent silent;
  fuzz::attempt({Status::data, Status::usage, Status::memory}, [&] { (void)parse_names(text, name, options, silent); });
  return 0;
}
