// Reading arrays from CSV, TSV, NPY, NPZ and safetensors files and writing them, complete or not at all.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

enum class Format { csv, tsv, npy, npz, safetensors };

/// "csv", "npy", ...
[[nodiscard]] std::string_view format_name(Format format) noexcept;
/// Numbers as decimal text: CSV or TSV.
[[nodiscard]] constexpr bool is_text(Format format) noexcept { return format == Format::csv || format == Format::tsv; }
/// By the extension of `path` (case-insensitive); nullopt when it says nothing.
[[nodiscard]] std::optional<Format> format_of_path(std::string_view path) noexcept;

/// A FILE argument: a path or "-", and what stands behind the last colon.
struct FileName {
  std::string path;      ///< "-" is standard input or output
  std::string selector;  ///< array name (NPZ, safetensors) or columns (CSV); empty selects everything

  /// An input. A path that exists as written is that path. Else the text is split at the last colon that has the name of an
  /// existing file before it, or, where none has, at the last colon.
  [[nodiscard]] static FileName parse(std::string_view text);
  /// An output: the last colon splits when an NPZ or safetensors name (by extension) or "-" stands before it.
  [[nodiscard]] static FileName parse_output(std::string_view text);
  [[nodiscard]] bool is_standard_stream() const noexcept { return path == "-"; }
  /// The argument as the user wrote it.
  [[nodiscard]] std::string text() const { return selector.empty() ? path : path + ":" + selector; }
};

enum class Header { automatic, yes, no };

/// How to read a file. Every field has the default that suits most files.
struct ReadOptions {
  std::optional<Format> from;         ///< default: by extension; standard input is sniffed
  std::optional<char> delimiter;      ///< CSV: default found by itself among , tab ; | blank
  Header header = Header::automatic;  ///< CSV
  DType text_type = DType::f32;       ///< CSV: f32 or f64; values are rounded once, from the decimal text
  char decimal = '.';                 ///< CSV: '.' or ','
  std::optional<double> missing;      ///< CSV: value of empty, NA and null cells; without it they are errors
  std::optional<double> ragged_pad;   ///< CSV: value that fills short rows; without it they are errors
};

/// An input file whose memory-mapped bytes an array may be using.
class MappedFile;

/// What a file held.
struct Loaded {
  Array array;
  FileName name;
  Format format = Format::npy;
  std::vector<std::string> columns;          ///< CSV header names of the selected columns; empty without a header
  std::shared_ptr<const MappedFile> mapped;  ///< null when the array is a copy in memory
};

/// Reads one array. NPY, stored NPZ entries and safetensors tensors of a regular file are memory-mapped when their bytes can
/// serve as they are. Throws Error(data) with file, line and column for unusable content and Error(io) when the file cannot be
/// read. Nothing is allocated beyond what the file's real size justifies.
[[nodiscard]] Loaded read_array(const FileName& name, const ReadOptions& options, Reporter& reporter);

/// Throws Error(io) when the file that the array is mapped from has changed since it was read (size or time of modification).
/// To be called after the last use of the array and before the outputs are committed.
void verify_unchanged(const Loaded& input);

/// One array of a file, for `attn info`.
struct ArrayEntry {
  std::string name;            ///< empty for NPY and CSV
  std::optional<DType> dtype;  ///< nullopt for types that attn does not read
  std::string type_name;       ///< as NumPy calls it, "float32"; for types that attn does not read, as the file calls it
  std::string refusal;         ///< why read_array() would not read it; empty when it would
  Shape shape;
  bool column_major = false;
  bool big_endian = false;
  std::string storage;  ///< "mapped", "stored", "deflated", "text"
};

/// The arrays of a file without reading their elements (a CSV is read).
[[nodiscard]] std::vector<ArrayEntry> list_arrays(const FileName& name, const ReadOptions& options, Reporter& reporter);

/// Names of rows: the lines of a text file, or one column of a CSV/TSV file named by the selector.
[[nodiscard]] std::vector<std::string> read_names(const FileName& name, const ReadOptions& options, Reporter& reporter);

/// How to write a file.
struct WriteOptions {
  std::optional<Format> to;               ///< default: by extension; standard output and unknown extensions: csv
  std::optional<char> delimiter;          ///< CSV: default ',' (tab for TSV)
  bool deflate = false;                   ///< NPZ: compress
  std::vector<std::string> row_names;     ///< CSV: a first column
  std::string row_title;                  ///< CSV: header of the first column
  std::vector<std::string> column_names;  ///< CSV: a header row
};

/// The output files of one command: declared first, filled in place, and published together at the end. Each file is written
/// without a name in the folder where it will be and named by commit(); without commit(), and however the program ends, nothing
/// is left behind (on file systems without nameless files a killed program leaves `.NAME.XXXXXX`). Several arrays may go to one
/// NPZ or safetensors file. Standard output and paths that are not regular files are written at commit().
class Outputs {
 public:
  /// Large arrays on their way to standard output wait in a nameless file in `temporary_folder`.
  explicit Outputs(std::string temporary_folder = "/tmp");
  ~Outputs();
  Outputs(Outputs&&) noexcept;
  Outputs& operator=(Outputs&&) noexcept;

  /// Declares an array and returns its memory, zero-filled: [element_count(shape)] elements of `type`, row-major, valid until
  /// commit(). For an NPY, NPZ (stored) or safetensors file that is the mapped file itself; its space on disk is reserved, so
  /// that a full disk is an Error(io) here and not a signal later. `default_name` names the array in an NPZ or safetensors file
  /// when `name` has no selector. CSV takes shapes that are 2-D after dropping dimensions of size 1 (a 1-D array is one row);
  /// others throw Error(usage) and say to write NPY. Throws Error(usage) when two outputs are the same file or both standard
  /// output, and when binary data would go to a terminal; Error(io) when the file cannot be created there.
  [[nodiscard]] std::byte* add(const FileName& name, std::string_view default_name, DType type, const Shape& shape,
                               const WriteOptions& options);

  /// A file that other processes fill, too, before commit() names it: its temporary name, and where its elements begin.
  struct Shared {
    std::string path;
    std::uint64_t offset = 0;
  };
  /// Declares an array in an NPY file like add(), zero-filled and without memory. Nothing for other formats and for streams.
  [[nodiscard]] std::optional<Shared> add_shared(const FileName& name, DType type, const Shape& shape,
                                                 const WriteOptions& options);

  /// Below this size, a call of the system is more work than what it saves.
  static constexpr std::size_t long_piece = 4096;
  /// Stores `bytes` at `at`, which lies in the memory of a declared array, as copying them there would. Long pieces are written
  /// to the file instead, which spares the system to fill its pages with zeros first, and memory to hold them. May be called from
  /// several threads at once for different places. Throws Error(io) when they cannot be written.
  void put(void* at, std::span<const std::byte> bytes);

  /// Declares finished text (CSV in long form, NDJSON, a report). `producer` is called at commit() with a sink that takes pieces
  /// in order.
  class TextSink {
   public:
    TextSink() = default;
    TextSink(const TextSink&) = delete;
    TextSink& operator=(const TextSink&) = delete;
    virtual ~TextSink() = default;
    virtual void write(std::string_view piece) = 0;
  };
  void add_text(const FileName& name, std::function<void(TextSink&)> producer);

  /// The same for contents that are binary, of a `kind` as messages call it: throws Error(usage) when they would go to a
  /// terminal. `hint` says what to do instead, besides redirecting them.
  void add_binary(const FileName& name, std::string_view kind, const std::string& hint, std::function<void(TextSink&)> producer);

  /// Declares text that is made at commit() from an array, and returns the array's memory as add() does for CSV: zero-filled,
  /// outside of anonymous memory when it is large.
  using ArrayText = std::function<void(TextSink&, const std::byte* memory)>;
  [[nodiscard]] std::byte* add_text(const FileName& name, DType type, const Shape& shape, ArrayText producer);

  /// Throws Error(usage) when an output of `other`, committed at another time, goes to the same place as one of these.
  void require_distinct_from(const Outputs& other) const;

  /// Completes the contents of all files, writes standard output and other streams, and then gives all files their names. Throws
  /// Error(io) when anything could not be written; then no file has changed. To be called once.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes one array: Outputs with a single entry.
void write_array(const FileName& name, const Array& array, const WriteOptions& options);

/// The shortest decimal text that reads back to the same value, as CSV output uses it; "nan", "inf", "-inf".
[[nodiscard]] std::string shortest(float value);
[[nodiscard]] std::string shortest(double value);

}  // namespace attn
