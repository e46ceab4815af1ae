// Input files made from a hash.
#include "conformance/generated_input.hpp"

#include "tools/process.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::testing {

namespace {

/// Significant bits of the floating types.
int float_bits(const std::string& dtype) {
  static const std::map<std::string, int> bits{{"float64", 53}, {"float32", 24}, {"float16", 11}, {"bfloat16", 8}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? 0 : found->second;
}

template <class T>
void put(std::string& bytes, T value) {
  static_assert(std::endian::native == std::endian::little);
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

/// One element in the file's type; `values` are exact there.
void put_element(std::string& bytes, const std::string& dtype, double x) {
  if (dtype == "float64") return put(bytes, x);
  if (dtype == "float32") return put(bytes, static_cast<float>(x));
  if (dtype == "float16") return put(bytes, float_to_half(static_cast<float>(x)));
  if (dtype == "bfloat16") return put(bytes, float_to_bfloat(static_cast<float>(x)));
  if (dtype == "int8") return put(bytes, static_cast<std::int8_t>(x));
  if (dtype == "int16") return put(bytes, static_cast<std::int16_t>(x));
  if (dtype == "int32") return put(bytes, static_cast<std::int32_t>(x));
  if (dtype == "int64") return put(bytes, static_cast<std::int64_t>(x));
  if (dtype == "uint8") return put(bytes, static_cast<std::uint8_t>(x));
  if (dtype == "uint16") return put(bytes, static_cast<std::uint16_t>(x));
  if (dtype == "uint32") return put(bytes, static_cast<std::uint32_t>(x));
  if (dtype == "bool") return put(bytes, static_cast<std::uint8_t>(x != 0));
  throw std::runtime_error("unknown type " + dtype);
}

std::string npy_code(const std::string& dtype) {
  static const std::map<std::string, std::string> codes{
      {"float64", "<f8"}, {"float32", "<f4"}, {"float16", "<f2"}, {"int8", "|i1"},   {"int16", "<i2"}, {"int32", "<i4"},
      {"int64", "<i8"},   {"uint8", "|u1"},   {"uint16", "<u2"},  {"uint32", "<u4"}, {"bool", "|b1"}};
  return codes.at(dtype);
}

std::string npy_header(const std::string& dtype, const Shape& shape) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", npy_code(dtype),
                                   fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\0';
  put(bytes, static_cast<std::uint16_t>(header.size()));
  return bytes + header;
}

std::string safetensors_header(const Shape& shape, std::size_t data_bytes) {
  const std::string json =
      fmt::format(R"({{"x":{{"dtype":"BF16","shape":[{}],"data_offsets":[0,{}]}}}})", fmt::join(shape, ","), data_bytes);
  std::string bytes;
  put(bytes, static_cast<std::uint64_t>(json.size()));
  return bytes + json;
}

std::string csv_text(const Shape& shape, const std::vector<double>& values) {
  std::string text;
  const std::size_t width = shape.back();
  for (std::size_t i = 0; i < values.size(); ++i) text += fmt::format("{:.17g}{}", values[i], (i + 1) % width == 0 ? '\n' : ',');
  return text;
}

}  // namespace

std::uint64_t hash_of(std::uint64_t seed, std::uint64_t index) noexcept {
  std::uint64_t x = (seed << 32) + index + 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

std::vector<double> generate(const InputSpec& spec) {
  std::vector<double> values(element_count(spec.shape));
  const int bits = float_bits(spec.dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t h = hash_of(spec.seed, i);
    if (spec.dtype == "bool" || spec.is_binary) {
      values[i] = (h >> 56) < spec.dense ? 1 : 0;
    } else if (bits == 0) {
      values[i] = static_cast<double>(h >> 62) - (spec.dtype[0] == 'u' ? 0 : 2);
    } else {
      const double steps = static_cast<double>(h >> (64 - bits)) - std::ldexp(1.0, bits - 1);
      values[i] = std::ldexp(steps, 1 - bits) * spec.amplitude;
    }
    if (spec.hidden > 0 && (hash_of(spec.seed + 1, i) >> 56) < spec.hidden) values[i] = -std::numeric_limits<double>::infinity();
  }
  for (const InputSpec::Edit& edit : spec.edits) {
    for (std::size_t i = 0; i < edit.count; ++i) values.at(edit.start + i) = std::stod(edit.value);
  }
  return values;
}

void write_input(const std::filesystem::path& path, const std::string& dtype, const Shape& shape,
                 const std::vector<double>& values) {
  if (path.extension() == ".csv") return write_file(path, csv_text(shape, values));
  std::string data;
  for (const double x : values) put_element(data, dtype, x);
  write_file(path,
             (path.extension() == ".safetensors" ? safetensors_header(shape, data.size()) : npy_header(dtype, shape)) + data);
}

}  // namespace attn::testing
