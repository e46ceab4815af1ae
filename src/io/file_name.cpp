// FILE arguments and the formats that their names and first bytes announce.
#include <attn/io.hpp>

#include <algorithm>
#include <array>
#include <cctype>

#include <sys/stat.h>

namespace attn {

namespace {

bool is_file(const std::string& path) {
  if (path == "-") return true;
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

FileName split(std::string_view text, std::size_t colon) {
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

}  // namespace

std::string_view format_name(Format format) noexcept {
  switch (format) {
    case Format::csv:
      return "csv";
    case Format::tsv:
      return "tsv";
    case Format::npy:
      return "npy";
    case Format::npz:
      return "npz";
    case Format::safetensors:
      return "safetensors";
  }
  return "unknown";
}

std::optional<Format> format_of_path(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view extension = path.substr(dot + 1);
  constexpr std::array formats{Format::csv, Format::tsv, Format::npy, Format::npz, Format::safetensors};
  for (const Format format : formats) {
    const bool same = std::ranges::equal(extension, format_name(format), [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) == static_cast<unsigned char>(b);
    });
    if (same) return format;
  }
  return std::nullopt;
}

FileName FileName::parse(std::string_view text) {
  FileName whole{std::string(text), {}};
  const std::size_t last = text.rfind(':');
  if (last == std::string_view::npos || last == 0 || whole.is_standard_stream() || exists(whole.path)) return whole;
  // Names of tensors may hold colons too: the last colon behind the name of a file that exists is the one that is meant.
  for (std::size_t colon = last; colon != 0 && colon != std::string_view::npos; colon = text.rfind(':', colon - 1)) {
    FileName name = split(text, colon);
    if (is_file(name.path)) return name;
  }
  return split(text, last);
}

FileName FileName::parse_output(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return {std::string(text), {}};
  FileName name = split(text, colon);
  const std::optional<Format> format = format_of_path(name.path);
  if (name.is_standard_stream() || format == Format::npz || format == Format::safetensors) return name;
  return {std::string(text), {}};
}

}  // namespace attn
