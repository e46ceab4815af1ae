// Text files before anything is known of their columns: encodings, foreign formats, lines, and cells as messages show them.
#include "io/text.hpp"

#include "io/descriptor.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <string>

#include <fmt/format.h>

namespace attn {

namespace {

using namespace std::string_view_literals;

/// The file as a shell command would name it; standard input has no name there.
std::string shell_name(const FileName& name) { return name.is_standard_stream() ? "FILE" : name.path; }

struct Magic {
  std::string_view bytes;
  std::string_view what;
  std::string_view command;  ///< a hint, in which {} is the file
};

// The first bytes of files that end up under the name of a CSV.
constexpr std::array magics = {
    Magic{"\x1F\x8B"sv, "a gzip file", "gzip -dc {} | attn ... -"},
    Magic{"\x28\xB5\x2F\xFD"sv, "a Zstandard file", "zstd -dc {} | attn ... -"},
    Magic{"\xFD"
          "7zXZ"sv,
          "an xz file", "xz -dc {} | attn ... -"},
    Magic{"BZh"sv, "a bzip2 file", "bzip2 -dc {} | attn ... -"},
    Magic{"\x04\x22\x4D\x18"sv, "an LZ4 file", "lz4 -dc {} | attn ... -"},
    Magic{"PK\x03\x04"sv, "a ZIP archive", "an NPZ file is read with --from npz; a spreadsheet must be saved as CSV first"},
    Magic{"PK\x05\x06"sv, "an empty ZIP archive", ""},
    Magic{"7z\xBC\xAF\x27\x1C"sv, "a 7-Zip archive", "7z x -so {} | attn ... -"},
    Magic{"\x93NUMPY"sv, "an NPY file", "give it the extension .npy, or read it with --from npy"},
    Magic{"\x89HDF"sv, "an HDF5 file", "convert it to NPY or CSV first"},
    Magic{"PAR1"sv, "a Parquet file", "convert it to NPY or CSV first"},
    Magic{"ARROW1"sv, "an Arrow file", "convert it to NPY or CSV first"},
    Magic{"SQLite format 3"sv, "an SQLite database", "sqlite3 -csv -header {} 'SELECT ...' | attn ... -"},
    Magic{"\xD0\xCF\x11\xE0"sv, "an old Excel or Word file", "save it as CSV first"},
    Magic{"MATLAB 5.0 MAT-file"sv, "a MATLAB file", "convert it to NPY or CSV first"},
    Magic{"%PDF"sv, "a PDF", "convert it to CSV first"},
    Magic{"\x89PNG"sv, "a PNG picture", ""},
    Magic{"\xFF\xD8\xFF"sv, "a JPEG picture", ""},
    Magic{"\x7F"
          "ELF"sv,
          "a program", ""},
    Magic{"version https://git-lfs"sv, "a Git LFS pointer and not the file itself", "git lfs pull"},
};

/// What the text begins with behind blank lines, in lower case.
bool begins_with_word(std::string_view text, std::string_view word) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || text.size() - begin < word.size()) return false;
  return std::equal(word.begin(), word.end(), text.begin() + static_cast<std::ptrdiff_t>(begin),
                    [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

[[noreturn]] void refuse(const FileName& name, std::string_view what, std::string hint) {
  throw Error(Status::data, place_in(name), fmt::format("this is {} (text with one row a line was expected)", what),
              std::move(hint));
}

/// A safetensors file begins with the length of its JSON header as 8 little-endian bytes.
bool looks_like_safetensors(std::string_view text) {
  if (text.size() < 10 || text[8] != '{' || (text[9] != '"' && text[9] != '}' && text[9] != ' ')) return false;
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8U | static_cast<unsigned char>(text[i]);
  return length <= text.size() - 8;
}

/// A pickle of protocol 2 to 5, as torch.save and pickle.dump write.
bool looks_like_pickle(std::string_view text) { return text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5; }

[[noreturn]] void refuse_encoding(const FileName& name, std::string_view encoding) {
  const std::string hint = name.is_standard_stream() ? fmt::format("... | iconv -f {} -t UTF-8 | attn ... -", encoding)
                                                     : fmt::format("iconv -f {} -t UTF-8 {} | attn ... -", encoding, name.path);
  refuse(name, fmt::format("{} text", encoding), hint);
}

/// By the byte order mark, or by the zero bytes that every other byte of Latin text is in UTF-16.
void refuse_wide_encodings(std::string_view text, const FileName& name) {
  if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv)) refuse_encoding(name, "UTF-32");
  if (text.starts_with("\xFF\xFE"sv) || text.starts_with("\xFE\xFF"sv)) refuse_encoding(name, "UTF-16");
  const std::size_t pairs = std::min<std::size_t>(text.size() / 2, 16);
  if (pairs < 2) return;
  std::size_t first_zero = 0;
  std::size_t second_zero = 0;
  for (std::size_t i = 0; i < pairs; ++i) {
    first_zero += text[2 * i] == '\0' ? 1U : 0U;
    second_zero += text[2 * i + 1] == '\0' ? 1U : 0U;
  }
  if (first_zero == 0 && second_zero == pairs) refuse_encoding(name, "UTF-16LE");
  if (second_zero == 0 && first_zero == pairs) refuse_encoding(name, "UTF-16BE");
}

/// The length of the UTF-8 sequence at `text[i]` when it is complete and printable, else 0.
std::size_t printable_sequence(std::string_view text, std::size_t i) {
  const auto lead = static_cast<unsigned char>(text[i]);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F ? 1 : 0;
  const std::size_t length = lead >= 0xF0 && lead <= 0xF4  ? 4
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xC3 && lead < 0xE0 ? 2
                                                           : 0;
  if (length == 0 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k)
    if ((static_cast<unsigned char>(text[i + k]) & 0xC0U) != 0x80U) return 0;
  return length;
}

}  // namespace

Location place_in(const FileName& name, std::size_t line, std::size_t column) { return {input_label(name.path), line, column}; }

std::string_view plain_text(std::string_view text, const FileName& name) {
  refuse_wide_encodings(text, name);
  if (text.starts_with("\xEF\xBB\xBF"sv)) text.remove_prefix(3);
  for (const Magic& known : magics)
    if (text.starts_with(known.bytes)) {
      std::string hint(known.command);
      if (const std::size_t place = hint.find("{}"); place != std::string::npos) hint.replace(place, 2, shell_name(name));
      refuse(name, known.what, hint);
    }
  if (looks_like_safetensors(text))
    refuse(name, "a safetensors file", "give it the extension .safetensors, or read it with --from safetensors");
  if (looks_like_pickle(text)) refuse(name, "a Python pickle", "save the array as NPY or safetensors first");
  if (begins_with_word(text, "<!doctype") || begins_with_word(text, "<html"))
    refuse(name, "a web page", "the download gave a page in place of the file; look at it in a browser");
  if (begins_with_word(text, "<?xml")) refuse(name, "an XML file", "convert it to CSV first");
  return text;
}

void refuse_json(std::string_view text, const FileName& name) {
  if (begins_with_word(text, "{")) refuse(name, "a JSON file", "convert it to CSV first, with jq -r '... | @csv' for instance");
}

std::string excerpt(std::string_view cell) {
  constexpr std::size_t most = 40;
  std::string result = "\"";
  std::size_t i = 0;
  while (i < cell.size() && i < most) {
    const std::size_t length = printable_sequence(cell, i);
    if (length == 0) {
      fmt::format_to(std::back_inserter(result), "\\x{:02X}", static_cast<unsigned char>(cell[i]));
      ++i;
      continue;
    }
    result += cell.substr(i, length);
    i += length;
  }
  if (i < cell.size()) result += "...";
  return result + '"';
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

const char* LineWalker::find(const char* from, char what) const noexcept {
  if (from == end_) return end_;
  const void* found = std::memchr(from, what, static_cast<std::size_t>(end_ - from));
  return found == nullptr ? end_ : static_cast<const char*>(found);
}

}  // namespace attn
