// Safetensors: files of the reference implementation, and headers that lie.
#include "io/safetensors.hpp"

#include "io/support.hpp"

#include <attn/io.hpp>

#include <cstring>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace attn;
using namespace attn::test;

namespace {

std::string safetensors_file(const std::string& header, const std::string& data) {
  std::string length;
  for (unsigned i = 0; i < 8; ++i) length += static_cast<char>(static_cast<unsigned char>(header.size() >> (8 * i) & 0xFFU));
  return length + header + data;
}

Array parse(const std::string& file, std::string_view name = {}) {
  const auto owner = std::make_shared<std::string>(file);  // arrays may be views of the file
  return parse_safetensors(bytes_of(*owner), owner, "x.safetensors", name);
}

Error error_in(const std::string& file, std::string_view name = {}) {
  return error_of([&] { (void)parse(file, name); });
}

std::string tensor(const std::string& name, const std::string& type, const std::string& shape, const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{}]}})", name, type, shape, offsets);
}

/// An odd number of bools leaves the next tensor unaligned in the file.
void write_three(const std::string& path) {
  Outputs outputs;
  for (const DType type : {DType::boolean, DType::f32, DType::bf16}) {
    const Array array = sample_array(type, {3, 5});
    std::memcpy(outputs.add({path, std::string(dtype_name(type))}, "x", type, {3, 5}, {}), array.data(), array.bytes());
  }
  outputs.commit();
}

}  // namespace

TEST_CASE("every element type of a file of the reference implementation") {
  for (const DType type : all_types) {
    CAPTURE(dtype_name(type));
    check_sample(read(fmt::format("{}:{}", fixture("types.safetensors"), dtype_name(type))).array, type, {3, 5});
  }
  check_sample(read(fixture("one.safetensors")).array, DType::f32, {2, 3, 4});
  check_sample(read(fixture("mixed.safetensors:model.layers.0.q_proj.weight")).array, DType::f32, {4, 4});
  check_sample(read(fixture("mixed.safetensors:scalar")).array, DType::f32, {});
  check_sample(read(fixture("mixed.safetensors:empty")).array, DType::f32, {0, 3});
}

TEST_CASE("tensors that attn does not read are listed, and refused only when asked for") {
  CHECK(contains(error_of([] { (void)read(fixture("mixed.safetensors:float8")); }).what(), "F8_E4M3"));
  CHECK(contains(error_of([] { (void)read(fixture("mixed.safetensors:rank5")); }).what(), "more than 4 dimensions"));
  Listener reporter;
  bool seen = false;
  for (const ArrayEntry& entry : list_arrays(FileName::parse(fixture("mixed.safetensors")), {}, reporter)) {
    CHECK(entry.refusal.empty() == (entry.name != "float8" && entry.name != "rank5"));
    if (entry.name != "float8") continue;
    seen = true;
    CHECK_FALSE(entry.dtype.has_value());
    CHECK(entry.type_name == "F8_E4M3");
    CHECK(entry.shape == Shape{3});
  }
  CHECK(seen);
}

TEST_CASE("a missing or wrong name lists what there is") {
  CHECK(contains(error_of([] { (void)read(fixture("mixed.safetensors")); }).what(), "5 arrays"));
  const Error wrong = error_of([] { (void)read(fixture("mixed.safetensors:model.layers.0.k_proj.weight")); });
  CHECK(contains(wrong.hint(), "model.layers.0.q_proj.weight"));
}

TEST_CASE("a colon may be part of a tensor's name") {
  const TemporaryDirectory folder;
  write_file(folder / "c.safetensors", safetensors_file("{" + tensor("a:b", "U8", "1", "0,1") + "}", "\7"));
  CHECK(read(folder / "c.safetensors:a:b").array.at_flat(0) == 7.0);
}

TEST_CASE("headers in other spellings") {
  const std::string data(4, '\0');
  CHECK(parse(safetensors_file("{" + tensor("a", "F32", "1", "0,4") + "}     ", data)).size() == 1);
  CHECK(parse(safetensors_file(R"({ "a" : { "shape" : [ 1 ] , "data_offsets" : [ 0 , 4 ] , "dtype" : "F32" } })", data)).size() ==
        1);
  CHECK(parse(safetensors_file(R"({"__metadata__":{"x":"y"},)" + tensor("a", "F32", "", "0,4") + "}", data)).size() == 1);
  // Tensors may be named in another order than they lie in.
  const std::string two = "{" + tensor("b", "U8", "1", "1,2") + "," + tensor("a", "U8", "1", "0,1") + "}";
  CHECK(parse(safetensors_file(two, "\1\2"), "b").at_flat(0) == 2.0);
  CHECK(contains(error_in(safetensors_file("{}", "")).what(), "no arrays"));
}

TEST_CASE("elements that are not aligned are copied, bytes of bools are made true or false") {
  const std::string header = "{" + tensor("a", "BOOL", "3", "0,3") + "," + tensor("b", "F32", "1", "3,7") + "}";
  const std::string file = safetensors_file(header, std::string("\0\1\2\0\0\x80\x3f", 7));
  CHECK(parse(file, "b").values<float>()[0] == 1.0F);
  CHECK(std::to_integer<int>(parse(file, "a").data()[2]) == 1);
}

TEST_CASE("headers that lie are refused") {
  const std::string data(8, '\0');
  const auto refused = [&](const std::string& header, const std::string& reason) {
    CAPTURE(header);
    const Error error = error_in(safetensors_file(header, data), "a");
    CHECK(error.status() == Status::data);
    CHECK_MESSAGE(contains(error.what(), reason), error.what());
  };
  const auto one = [](const std::string& type, const std::string& shape, const std::string& offsets) {
    return "{" + tensor("a", type, shape, offsets) + "}";
  };
  refused(one("F32", "2", "0,16"), "beyond");
  refused(one("F32", "2", "8,0"), "end before");
  refused(one("F32", "3", "0,8"), "do not fit");
  refused(one("F32", "1", "0,4"), "too long");
  refused(one("F32", "1", "4,8"), "gap");
  refused(one("F32", "4611686018427387904,4", "0,8"), "memory can address");
  refused(one("F32", "-2", "0,8"), "negative");
  refused(one("F32", "2.0", "0,8"), "whole");
  refused(one("F32", "18446744073709551616", "0,8"), "");
  refused(one("F32", "2", "0,8,9"), "");
  refused(one("F32", "2", "0"), "two numbers");
  refused(one("F32", "[2]", "0,8"), "");
  refused("{" + tensor("a", "F32", "2", "0,8") + "," + tensor("b", "F32", "1", "4,8") + "}", "overlap");
  refused("{" + tensor("a", "F32", "2", "0,8") + "," + tensor("a", "F32", "0", "8,8") + "}", "twice");
  refused(R"({"a":{"dtype":"F32","shape":[2]}})", "missing");
  refused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "twice");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":{}}})", "unknown field");
  refused(R"({"a":[]})", "");
  refused(R"({"a":null})", "");
  refused(R"({"a":{"dtype":4,"shape":[2],"data_offsets":[0,8]}})", "");
  refused(R"({"__metadata__":{"x":{}}})", "");
  refused(R"({"__metadata__":[]})", "");
  refused("{", "JSON");
  refused("[]", "does not start with");
  refused("{} {}", "JSON");
  refused("{\"a\xff\":1}", "JSON");
  refused("{\"a\":" + std::string(100000, '['), "");
  refused("{\"a\":" + std::string(100000, '{'), "");
}

TEST_CASE("lengths of the header that lie are refused") {
  CHECK(contains(error_in(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)).what(), "at most"));
  CHECK(contains(error_in(std::string("\0\1\0\0\0\0\0\0{}", 10)).what(), "cut short"));
  CHECK(error_in(std::string("\0\0\0\0\0\0\0\0", 8)).status() == Status::data);
  CHECK(error_in("abc").status() == Status::data);
}

TEST_CASE("every truncation and many flipped bytes are read or refused, never worse") {
  std::mt19937 random(11);
  for (const char* name : {"one.safetensors", "mixed.safetensors"}) {
    const std::string valid = read_file(fixture(name));
    for (std::size_t size = 0; size < valid.size(); ++size)
      REQUIRE(error_in(valid.substr(0, size), "only").status() == Status::data);
    for (int round = 0; round < 4000; ++round) {
      std::string file = valid;
      for (auto flips = 1 + random() % 3; flips > 0; --flips) file[random() % file.size()] = static_cast<char>(random());
      try {
        for (const ArrayEntry& entry : list_safetensors(bytes_of(file), "x")) {
          if (entry.refusal.empty()) REQUIRE(parse(file, entry.name).bytes() <= file.size());
        }
      } catch (const Error& error) {
        REQUIRE(error.status() == Status::data);
      }
    }
  }
}

TEST_CASE("written files read back, and are those that tests/data/check_written.py found right") {
  const TemporaryDirectory folder;
  const std::string file = folder / "written.safetensors";
  write_three(file);
  for (const DType type : {DType::boolean, DType::f32, DType::bf16})
    check_sample(read(fmt::format("{}:{}", file, dtype_name(type))).array, type, {3, 5});
  CHECK(read_file(file) == read_file(fixture("written.safetensors")));
}

TEST_CASE("write the file that check_written.py looks at" * doctest::skip()) { write_three(fixture("written.safetensors")); }

TEST_CASE("so many tensors that the header outgrows its room") {
  const TemporaryDirectory folder;
  const std::string file = folder / "many.safetensors";
  Outputs outputs;
  for (int i = 0; i < 200; ++i) {
    auto* memory = outputs.add({file, fmt::format("tensor \"{}\"", i)}, "x", DType::i32, {1000}, {});
    for (int j = 0; j < 1000; ++j) {
      const int value = i * 1000 + j;
      std::memcpy(memory + j * 4, &value, 4);
    }
  }
  outputs.commit();
  for (const int i : {0, 1, 57, 199}) {
    const Array array = read(fmt::format("{}:tensor \"{}\"", file, i)).array;
    for (int j = 0; j < 1000; ++j) REQUIRE(array.values<std::int32_t>()[static_cast<std::size_t>(j)] == i * 1000 + j);
  }
}
