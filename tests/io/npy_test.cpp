// NPY: every type, order and version against files that NumPy wrote; headers in other spellings; damaged and lying files.
#include "io/npy.hpp"

#include "io/support.hpp"

#include <attn/io.hpp>

#include <cstring>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace attn;
using namespace attn::test;

namespace {

/// An NPY file of version 1 with this dictionary, padded as NumPy pads, and these bytes behind it.
std::string npy_file(std::string dictionary, const std::string& data) {
  dictionary.resize((dictionary.size() + 11 + 63) / 64 * 64 - 11, ' ');
  dictionary += '\n';
  std::string file = "\x93NUMPY\1";
  file += '\0';
  file += static_cast<char>(dictionary.size() & 0xFFU);
  file += static_cast<char>(dictionary.size() >> 8U);
  return file + dictionary + data;
}

Array parse(const std::string& file) {
  const auto owner = std::make_shared<std::string>(file);  // arrays may be views of the file
  return parse_npy(bytes_of(*owner), owner, "x.npy", Trailing::refused);
}

Error error_in(const std::string& file) {
  return error_of([&] { (void)parse(file); });
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

const std::string two_floats = floats({1, 2});

}  // namespace

TEST_CASE("every element type, in both byte orders and both memory orders") {
  for (const DType type : all_types) {
    CAPTURE(dtype_name(type));
    check_sample(read(fixture(fmt::format("little_c_{}.npy", dtype_name(type)))).array, type, {3, 5});
    if (type != DType::bf16) check_sample(read(fixture(fmt::format("big_f_{}.npy", dtype_name(type)))).array, type, {3, 5});
  }
}

TEST_CASE("0 to 4 dimensions, empty ones too, in both memory orders") {
  const std::vector<std::pair<std::string, Shape>> shapes{
      {"scalar", {}}, {"5", {5}},      {"2x3x5", {2, 3, 5}}, {"2x3x5x7", {2, 3, 5, 7}},
      {"0", {0}},     {"3x0", {3, 0}}, {"2x0x4", {2, 0, 4}}, {"1x1x9", {1, 1, 9}},
  };
  for (const auto& [name, shape] : shapes) {
    CAPTURE(name);
    check_sample(read(fixture("shape_c_" + name + ".npy")).array, DType::f32, shape);
    check_sample(read(fixture("shape_f_" + name + ".npy")).array, DType::f32, shape);
  }
  check_sample(read(fixture("tiles_f_67x33.npy")).array, DType::i16, {67, 33});
}

TEST_CASE("column-major arrays of many sizes around the tile") {
  for (const Shape& shape :
       {Shape{31, 33}, Shape{1, 64}, Shape{65, 2}, Shape{3, 31, 32}, Shape{33, 2, 3, 34}, Shape{2, 1, 40, 1}}) {
    CAPTURE(to_string(shape));
    const std::size_t count = element_count(shape);
    std::string data(count * 2, '\0');
    // Element i of the row-major result has its column-major place computed index by index.
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t rest = i;
      std::size_t place = 0;
      for (std::size_t axis = shape.size(); axis > 0; --axis) {
        std::size_t stride = 1;
        for (std::size_t before = 0; before + 1 < axis; ++before) stride *= shape[before];
        place += rest % shape[axis - 1] * stride;
        rest /= shape[axis - 1];
      }
      const auto value = static_cast<std::uint16_t>(i);
      std::memcpy(data.data() + place * 2, &value, 2);
    }
    const Array array =
        parse(npy_file(fmt::format("{{'descr': '<u2', 'fortran_order': True, 'shape': ({},)}}", fmt::join(shape, ",")), data));
    for (std::size_t i = 0; i < count; ++i) REQUIRE(array.values<std::uint16_t>()[i] == static_cast<std::uint16_t>(i));
  }
}

TEST_CASE("versions 1 to 3") {
  for (const char version : {'1', '2', '3'})
    check_sample(read(fixture(fmt::format("version_{}.npy", version))).array, DType::f32, {2, 2});
  std::string file = read_file(fixture("version_1.npy"));
  file[6] = 4;
  CHECK(contains(error_in(file).what(), "version 4.0"));
}

TEST_CASE("header dictionaries in any spelling of Python") {
  for (const std::string dictionary : {
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
           "{'shape':(2,),'fortran_order':False,'descr':'<f4'}",
           "{ \"descr\" : \"<f4\" , \"shape\" : ( 2 , ) , \"fortran_order\" : False }",
           "  {'descr': '<f4',\n 'fortran_order': True,\t'shape': (2L,)}",
           "{'descr': 'f4', 'fortran_order': False, 'shape': (2l,)}",
           "{'descr': '=f4', 'fortran_order': False, 'shape': (1, 2)}",
           "{'descr': 'float32', 'fortran_order': False, 'shape': (2, 1, 1, 1,)}",
       }) {
    CAPTURE(dictionary);
    const Array array = parse(npy_file(dictionary, two_floats));
    REQUIRE(array.size() == 2);
    CHECK(array.values<float>()[1] == 2.0F);
  }
}

TEST_CASE("damaged headers are refused with their place") {
  for (const std::string dictionary : {
           "",
           "{",
           "}",
           "[]",
           "{'descr'",
           "{'descr': '<f4', 'fortran_order': False}",
           "{'descr': '<f4', 'shape': (2,)}",
           "{'fortran_order': False, 'shape': (2,)}",
           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
           "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
           "{'descr': '<f4 , 'fortran_order': False, 'shape': (2,)}",
           "{'descr': 4, 'fortran_order': False, 'shape': (2,)}",
           "{descr: '<f4', 'fortran_order': False, 'shape': (2,)}",
           "{'descr' '<f4', 'fortran_order': False, 'shape': (2,)}",
       }) {
    CAPTURE(dictionary);
    const Error error = error_in(npy_file(dictionary, two_floats));
    CHECK(error.status() == Status::data);
    CHECK(error.where().file == "x.npy");
  }
  CHECK(error_in(npy_file(std::string(60000, '('), "")).status() == Status::data);
  CHECK(error_in(npy_file("{'descr': " + std::string(60000, '['), "")).status() == Status::data);
}

TEST_CASE("an element type of the file's own words is shown on one line") {
  const Error error =
      error_in(npy_file("{'descr': '<f\n\x1B" + std::string(300, 'x') + "', 'fortran_order': False, 'shape': (2,)}", two_floats));
  CHECK(error.status() == Status::data);
  CHECK(std::string(error.what()).find("\\x0A\\x1B") != std::string::npos);
  CHECK(std::string(error.what()).find('\n') == std::string::npos);
  CHECK(std::string(error.what()).size() < 200);
}

TEST_CASE("what attn does not read is refused with the reason") {
  const std::vector<std::pair<std::string, std::string>> reasons{
      {"rank5", "more than 4 dimensions"},
      {"complex", "complex"},
      {"text", "text"},
      {"bytes", "text"},
      {"object", "pickle"},
      {"record", "records"},
      {"time", "dates or times"},
      {"longdouble", "floats of a size"},
      {"raw", "raw bytes"},
  };
  for (const auto& [name, reason] : reasons) {
    CAPTURE(name);
    const Error error = error_of([&, file = fixture("refused_" + name + ".npy")] { (void)read(file); });
    CHECK(error.status() == Status::data);
    CHECK_MESSAGE(contains(error.what(), reason), error.what());
  }
}

TEST_CASE("the size of the data is compared with the header") {
  const std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
  const Error cut = error_in(npy_file(dictionary, two_floats));
  CHECK(contains(cut.what(), "take 12 bytes, found 8"));
  const std::string longer = npy_file(dictionary, floats({1, 2, 3, 4}));
  CHECK(contains(error_in(longer).what(), "too long"));
  CHECK(parse_npy(bytes_of(longer), nullptr, "-", Trailing::ignored).size() == 3);
  for (const std::string shape : {"(4611686018427387904, 4)", "(18446744073709551615,)", "(4294967296, 4294967296)",
                                  "(18446744073709551615, 2, 0)", "(9223372036854775807,)"}) {
    CAPTURE(shape);
    CHECK(error_in(npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + "}", "")).status() == Status::data);
  }
}

TEST_CASE("a header that says it is huge is refused before it is looked for") {
  std::string file = "\x93NUMPY\2";
  file += std::string("\0\xff\xff\xff\x7f", 5);
  CHECK(contains(error_in(file + std::string(100, ' ')).what(), "at most 65536"));
}

TEST_CASE("bytes of bools are made true or false") {
  const Array array = parse(npy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }", std::string("\0\1\2\xff", 4)));
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::to_integer<int>(array.data()[i]) == (i == 0 ? 0 : 1));
}

TEST_CASE("elements that are not aligned are copied") {
  const std::string file = npy_file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", std::string(8, '\0'));
  std::vector<char> shifted(file.size() + 8);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::memcpy(shifted.data() + shift, file.data(), file.size());
    const Array array = parse_npy(std::as_bytes(std::span(shifted).subspan(shift, file.size())), nullptr, "x", Trailing::refused);
    CHECK(reinterpret_cast<std::uintptr_t>(array.data()) % alignof(double) == 0);
    CHECK(array.values<double>()[0] == 0.0);
  }
}

TEST_CASE("every truncation and many flipped bytes of valid files are read or refused, never worse") {
  std::mt19937 random(20240531);
  for (const char* name :
       {"little_c_float32.npy", "big_f_int16.npy", "version_2.npy", "shape_f_2x3x5x7.npy", "refused_record.npy"}) {
    const std::string valid = read_file(fixture(name));
    for (std::size_t size = 0; size < valid.size(); ++size) CHECK(error_in(valid.substr(0, size)).status() == Status::data);
    for (int round = 0; round < 3000; ++round) {
      std::string file = valid;
      for (auto flips = 1 + random() % 3; flips > 0; --flips)
        file[random() % std::min<std::size_t>(file.size(), 140)] = static_cast<char>(random());
      try {
        const Array array = parse(file);
        CHECK(array.bytes() <= file.size());
      } catch (const Error& error) {
        CHECK(error.status() == Status::data);
      }
    }
  }
}

TEST_CASE("what is written is byte for byte what NumPy writes, and reads back") {
  const TemporaryDirectory folder;
  for (const DType type : all_types) {
    CAPTURE(dtype_name(type));
    const std::string file = folder / "x.npy";
    write_array(FileName::parse(file), sample_array(type, {3, 5}), {});
    CHECK(read_file(file) == read_file(fixture(fmt::format("little_c_{}.npy", dtype_name(type)))));
  }
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3, 5, 7}, Shape{0}, Shape{2, 0, 4}}) {
    CAPTURE(to_string(shape));
    const std::string name = shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
    const std::string file = folder / "y.npy";
    write_array(FileName::parse(file), sample_array(DType::f32, shape), {});
    CHECK(read_file(file) == read_file(fixture("shape_c_" + name + ".npy")));
  }
  CHECK(npy_header(DType::f32, {1, 2, 3, 4, 5}).size() % 64 == 0);
  const std::string long_header = npy_header(DType::f32, Shape(40000, 1));
  CHECK(long_header[6] == 2);
  CHECK(long_header.size() % 64 == 0);
}

TEST_CASE("large files are mapped, small ones copied, and changes are found") {
  const TemporaryDirectory folder;
  const std::string file = folder / "large.npy";
  const Array large = sample_array(DType::f64, {1000, 300});
  write_array(FileName::parse(file), large, {});
  const Loaded mapped = read(file);
  const Loaded copied = read(fixture("version_1.npy"));
  CHECK(mapped.mapped != nullptr);
  CHECK(copied.mapped == nullptr);
  check_sample(mapped.array, DType::f64, {1000, 300});
  verify_unchanged(mapped);
  verify_unchanged(copied);
  std::filesystem::last_write_time(file, std::filesystem::last_write_time(file) + std::chrono::seconds(2));
  CHECK(error_of([&] { verify_unchanged(mapped); }).status() == Status::io);
}
