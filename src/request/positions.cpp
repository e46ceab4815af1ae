// Reading where queries stand and how many keys there are: numbers on the command line, or in a file.
#include "request/positions.hpp"

#include <charconv>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// "3,-1,4" as numbers; false when the text is no such list (then it names a file).
bool read_list(const std::string& text, std::vector<std::int64_t>& values) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    std::int64_t value = 0;
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc{}) return false;
    values.push_back(value);
    if (stop == end) return true;
    if (*stop != ',') return false;
    at = stop + 1;
  }
}

std::vector<std::int64_t> read_integers(const std::string& option, const std::string& text, const RunRequest& request,
                                        Reporter& reporter) {
  std::vector<std::int64_t> values;
  if (read_list(text, values)) return values;
  values.clear();
  const FileName name = FileName::parse(text);
  if (!name.is_standard_stream() && !std::filesystem::exists(name.path))
    throw Error(Status::io,
                fmt::format("{}: '{}' is neither whole numbers like 3 or 3,0,5 nor a file that exists", option, text));
  const Array array = read_array(name, request.reading.options(DType::f64), reporter).array;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const double value = array.at_flat(i);
    if (!(value == std::trunc(value)) || std::abs(value) > 0x1p53)
      throw Error(Status::data, {.file = text}, fmt::format("{}: entry {} is {} (expected an integer)", option, i, value));
    values.push_back(static_cast<std::int64_t>(value));
  }
  return values;
}

}  // namespace

std::vector<std::int64_t> read_key_lengths(const RunRequest& request, Reporter& reporter) {
  if (request.key_lengths.empty()) return {};
  return read_integers("--key-lengths", request.key_lengths, request, reporter);
}

QueryOffset read_query_offset(const RunRequest& request, Reporter& reporter) {
  if (request.query_offset.empty()) return request.attention.query_offset;
  if (request.query_offset == "end") return {.kind = QueryOffset::Kind::end, .values = {}};
  return {.kind = QueryOffset::Kind::given, .values = read_integers("--query-offset", request.query_offset, request, reporter)};
}

}  // namespace attn::request
