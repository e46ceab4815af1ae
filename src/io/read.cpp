// Chooses the reader for a file by option, name or first bytes.
#include "io/array_names.hpp"
#include "io/csv.hpp"
#include "io/input.hpp"
#include "io/npy.hpp"
#include "io/npz.hpp"
#include "io/safetensors.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

/// The format that the first bytes announce; nullopt for anything that may be text.
std::optional<Format> sniff(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_npy(bytes)) return Format::npy;
  if (text.starts_with("PK\3\4") || text.starts_with("PK\5\6")) return Format::npz;
  // A safetensors file starts with the length of its header, which starts with a brace.
  if (bytes.size() > safetensors_length_bytes && text[safetensors_length_bytes] == '{') {
    std::uint64_t length = 0;
    for (std::size_t i = safetensors_length_bytes; i > 0; --i)
      length = length << 8U | std::to_integer<std::uint64_t>(bytes[i - 1]);
    if (length >= 2 && length <= bytes.size() - safetensors_length_bytes) return Format::safetensors;
  }
  return std::nullopt;
}

struct Kind {
  std::string_view magic;
  std::string_view name;
  std::string_view hint;
};

/// Throws when the file is something that people mistake for a file of numbers.
void refuse_foreign(const Input& input) {
  using namespace std::string_view_literals;
  static constexpr std::array kinds{
      Kind{"\x1F\x8B"sv, "gzip-compressed data"sv, "unpack it on the way: gunzip -c FILE | attn ... -"sv},
      Kind{"\x28\xB5\x2F\xFD"sv, "zstd-compressed data"sv, "unpack it on the way: zstd -dc FILE | attn ... -"sv},
      Kind{"\xFD"
           "7zXZ\0"sv,
           "xz-compressed data"sv, "unpack it on the way: xz -dc FILE | attn ... -"sv},
      Kind{"BZh"sv, "bzip2-compressed data"sv, "unpack it on the way: bunzip2 -c FILE | attn ... -"sv},
      Kind{"\x89HDF\r\n\x1A\n"sv, "an HDF5 file"sv, "export its array as NPY first"sv},
      Kind{"PAR1"sv, "a Parquet file"sv, "export it as CSV or NPY first"sv},
      Kind{"\x80\x02"sv, "a Python pickle"sv, "attn never loads pickles; save the array with numpy.save"sv},
      Kind{"\x80\x04"sv, "a Python pickle"sv, "attn never loads pickles; save the array with numpy.save"sv},
      Kind{"\x80\x05"sv, "a Python pickle"sv, "attn never loads pickles; save the array with numpy.save"sv},
  };
  for (const Kind& kind : kinds)
    if (input.text().starts_with(kind.magic))
      throw Error(Status::data, {input.label}, fmt::format("this is {}, not an array", kind.name), std::string(kind.hint));
}

/// Whether the first bytes could be text in some encoding: no control characters besides white space and escapes.
bool looks_like_text(std::string_view text) {
  constexpr std::size_t enough = 256;
  return std::ranges::none_of(text.substr(0, enough), [](char c) {
    const auto code = static_cast<unsigned char>(c);
    return (code < 0x20 && (code < '\t' || code > '\r') && code != 0x1B) || code == 0x7F;
  });
}

/// Decides the format, and refuses a name that says one thing over content that is another.
Format decide(const FileName& name, const Input& input, const ReadOptions& options) {
  const std::optional<Format> content = sniff(input.bytes);
  const std::optional<Format> named = name.is_standard_stream() ? std::nullopt : format_of_path(name.path);
  const std::optional<Format> announced = options.from ? options.from : named;
  const bool text = looks_like_text(input.text());
  if (!content && !text) refuse_foreign(input);
  if (!announced) return content.value_or(Format::csv);
  // A damaged file still belongs to its own reader, which says best what is wrong with it.
  if (announced == content || (!content && (!text || is_text(*announced)))) return *announced;
  throw Error(Status::data, {input.label},
              fmt::format("{} {}, but the content is {}", options.from ? "--from says" : "its name says", format_name(*announced),
                          content ? format_name(*content) : std::string_view("text")),
              fmt::format("read it with --from {}", content ? format_name(*content) : std::string_view("csv")));
}

void refuse_selector(const FileName& name, const Input& input) {
  if (name.selector.empty()) return;
  throw Error(Status::usage, {input.label},
              fmt::format("an NPY file holds one array; there is nothing to select with ':{}'", name.selector));
}

Trailing trailing(const Input& input) { return input.stream ? Trailing::ignored : Trailing::refused; }

/// With the format that was found.
ReadOptions text_options(Format format, const ReadOptions& options) {
  ReadOptions result = options;
  result.from = format;
  return result;
}

Loaded read_text(const FileName& name, Format format, const Input& input, const ReadOptions& options, Reporter& reporter) {
  Loaded loaded = parse_csv(input.text(), name, text_options(format, options), reporter);
  loaded.name = name;
  loaded.format = format;
  return loaded;
}

}  // namespace

Loaded read_array(const FileName& name, const ReadOptions& options, Reporter& reporter) {
  const Input input = open_input(name.path);
  Loaded loaded;
  loaded.name = name;
  loaded.format = decide(name, input, options);
  switch (loaded.format) {
    case Format::csv:
    case Format::tsv:
      return read_text(name, loaded.format, input, options, reporter);
    case Format::npy:
      refuse_selector(name, input);
      loaded.array = parse_npy(input.bytes, input.owner, input.label, trailing(input));
      break;
    case Format::npz:
      loaded.array = parse_npz(input.bytes, input.owner, input.label, name.selector);
      break;
    case Format::safetensors:
      loaded.array = parse_safetensors(input.bytes, input.owner, input.label, name.selector);
      break;
  }
  loaded.mapped = input.mapped;
  return loaded;
}

std::vector<ArrayEntry> list_arrays(const FileName& name, const ReadOptions& options, Reporter& reporter) {
  const Input input = open_input(name.path);
  const Format format = decide(name, input, options);
  std::vector<ArrayEntry> entries;
  switch (format) {
    case Format::csv:
    case Format::tsv: {
      const Array array = read_text(name, format, input, options, reporter).array;
      entries.push_back({{}, array.dtype(), std::string(dtype_name(array.dtype())), {}, array.shape(), false, false, "text"});
      return entries;
    }
    case Format::npy: {
      refuse_selector(name, input);
      entries.push_back(list_npy(input.bytes, input.label, trailing(input)));
      break;
    }
    case Format::npz:
      entries = list_npz(input.bytes, input.label);
      break;
    case Format::safetensors:
      entries = list_safetensors(input.bytes, input.label);
      break;
  }
  if (name.selector.empty()) return entries;
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (const ArrayEntry& entry : entries) names.push_back(entry.name);
  return {entries[choose_array(names, name.selector, input.label)]};
}

std::vector<std::string> read_names(const FileName& name, const ReadOptions& options, Reporter& reporter) {
  const Input input = open_input(name.path);
  const Format format = decide(name, input, options);
  if (!is_text(format))
    throw Error(Status::data, {input.label},
                fmt::format("{} is no list of names (expected a text file or a column of a CSV file)", format_name(format)));
  return parse_names(input.text(), name, text_options(format, options), reporter);
}

void verify_unchanged(const Loaded& input) {
  if (input.mapped) input.mapped->check_unchanged();
}

}  // namespace attn
