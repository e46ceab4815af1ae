// NPZ: archives that NumPy and zipfile wrote, selection by name, ZIP64, and archives that lie.
#include "io/npz.hpp"

#include "io/builder.hpp"
#include "io/npy.hpp"
#include "io/staged_file.hpp"
#include "io/support.hpp"
#include "io/target.hpp"
#include "io/zip.hpp"

#include <attn/io.hpp>

#include <cstring>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace attn;
using namespace attn::test;

namespace {

Array parse(const std::string& file, std::string_view name = {}) {
  const auto owner = std::make_shared<std::string>(file);  // arrays may be views of the file
  return parse_npz(bytes_of(*owner), owner, "x.npz", name);
}

Error error_in(const std::string& file, std::string_view name = {}) {
  return error_of([&] { (void)parse(file, name); });
}

void put(std::string& file, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    file.at(at + i) = static_cast<char>(static_cast<unsigned char>(value >> (8 * i) & 0xFFU));
}

/// Where the first directory entry begins.
std::size_t directory_of(const std::string& file) { return file.find("PK\1\2"); }

/// An archive written by attn with its ZIP64 records forced.
std::string forced_zip64(const std::string& path, const std::vector<bool>& deflated = {false, true}) {
  const Target target = resolve_target(path);
  StagedFile file(target);
  const auto builder = make_npz_builder(file, target.folder, true);
  for (const bool deflate : deflated) {
    const Array array = sample_array(DType::f32, {3, 5});
    std::memcpy(builder->add(deflate ? "deflated" : "stored", array.dtype(), array.shape(), deflate), array.data(),
                array.bytes());
  }
  builder->complete();
  file.finish();
  file.stage();
  file.publish();
  return read_file(path);
}

void write_stored(const std::string& path) {
  Outputs outputs;
  for (const std::string name : {"Y", "layer/W", "\u03b1"}) {
    const Array array = sample_array(name == "Y" ? DType::f32 : DType::boolean, {3, 5});
    std::memcpy(outputs.add({path, name}, "x", array.dtype(), array.shape(), {}), array.data(), array.bytes());
  }
  outputs.commit();
}

void check_survives(const std::string& file) {
  try {
    for (const ArrayEntry& entry : list_npz(bytes_of(file), "x.npz")) {
      try {
        const Array array = parse(file, entry.name);
        REQUIRE(array.bytes() <= file.size() * 1032);
      } catch (const Error& error) {
        REQUIRE(error.status() == Status::data);
      }
    }
  } catch (const Error& error) {
    REQUIRE(error.status() == Status::data);
  }
}

}  // namespace

TEST_CASE("stored and deflated arrays by name, with and without .npy") {
  for (const std::string name : {"three_stored.npz", "three_deflated.npz"}) {
    CAPTURE(name);
    const std::string file = fixture(name);
    check_sample(read(file + ":Q").array, DType::f32, {3, 5});
    check_sample(read(file + ":K").array, DType::f64, {4, 5});
    check_sample(read(file + ":M").array, DType::boolean, {3, 4});
    check_sample(read(file + ":K.npy").array, DType::f64, {4, 5});
  }
  check_sample(read(fixture("one.npz")).array, DType::i32, {2, 3});
  check_sample(read(fixture("order.npz:f")).array, DType::f64, {40, 37});
  check_sample(read(fixture("order.npz:b")).array, DType::i32, {6});
  check_sample(read(fixture("folder.npz:layer/1/w")).array, DType::f32, {3, 5});
  check_sample(read(fixture("zip64.npz")).array, DType::f32, {3, 5});
  CHECK(read(fixture("zeros.npz")).array.size() == 10000);
}

TEST_CASE("a missing or wrong name lists what there is") {
  const Error several = error_of([] { (void)read(fixture("three_stored.npz")); });
  CHECK(several.status() == Status::data);
  CHECK(contains(several.what(), "Q, K, M"));
  const Error wrong = error_of([] { (void)read(fixture("folder.npz:layer/2/w")); });
  CHECK(contains(wrong.what(), "layer/0/w, layer/1/w"));
  CHECK(contains(wrong.hint(), "layer/0/w"));
  CHECK(contains(error_of([] { (void)read(fixture("empty.npz")); }).what(), "no arrays"));
  CHECK(error_of([] { (void)read(fixture("one.npz:other")); }).status() == Status::data);
}

TEST_CASE("the list of arrays tells types, shapes and storage") {
  Listener reporter;
  const auto entries = list_arrays(FileName::parse(fixture("order.npz")), {}, reporter);
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].name == "f");
  CHECK(entries[0].dtype == DType::f64);
  CHECK(entries[0].shape == Shape{40, 37});
  CHECK(entries[0].column_major);
  CHECK(entries[0].storage == "deflated");
  CHECK(entries[1].big_endian);
  const auto one = list_arrays(FileName::parse(fixture("three_stored.npz:K")), {}, reporter);
  REQUIRE(one.size() == 1);
  CHECK(one[0].type_name == "float64");
  CHECK(one[0].storage == "stored");
  const auto refused = list_arrays(FileName::parse(fixture("bzip2.npz")), {}, reporter);
  REQUIRE(refused.size() == 1);
  CHECK(contains(refused[0].refusal, "bzip2"));
}

TEST_CASE("other compressions and encryption are refused by name") {
  CHECK(contains(error_of([] { (void)read(fixture("bzip2.npz")); }).what(), "bzip2"));
  std::string file = read_file(fixture("one.npz"));
  put(file, directory_of(file) + 8, 1, 2);
  CHECK(contains(error_in(file).what(), "encrypted"));
}

TEST_CASE("checksums are verified") {
  for (const std::string name : {"one.npz", "zeros.npz"}) {
    CAPTURE(name);
    std::string file = read_file(fixture(name));
    put(file, directory_of(file) + 16, 0x12345678, 4);
    CHECK(contains(error_in(file).what(), "checksum"));
  }
  std::string file = read_file(fixture("one.npz"));
  file[directory_of(file) - 1] ^= 1;  // the last byte of data
  CHECK(contains(error_in(file).what(), "checksum"));
}

TEST_CASE("sizes that lie are refused before memory is taken") {
  const std::string valid = read_file(fixture("zeros.npz"));
  const std::size_t directory = directory_of(valid);
  std::string file = valid;
  put(file, directory + 24, 0xFFFFFFF0, 4);  // says that it unpacks to 4 GiB
  CHECK(contains(error_in(file).what(), "more than deflate can"));
  file = valid;
  put(file, directory + 24, 40000, 4);
  CHECK(error_in(file).status() == Status::data);
  file = valid;
  put(file, directory + 20, 0x7FFFFFFF, 4);
  CHECK(contains(error_in(file).what(), "overlaps"));
  file = valid;
  put(file, directory + 42, 5, 4);
  CHECK(error_in(file).status() == Status::data);
}

TEST_CASE("two entries of one name, and two over the same bytes, are refused") {
  std::string file = read_file(fixture("folder.npz"));
  for (std::size_t at = file.find("layer/1"); at != std::string::npos; at = file.find("layer/1", at))
    file.replace(at, 7, "layer/0");
  CHECK(contains(error_in(file, "layer/0/w").what(), "two entries named"));
  file = read_file(fixture("folder.npz"));
  const std::size_t second = file.find("PK\1\2", directory_of(file) + 4);
  put(file, second + 42, 0, 4);
  CHECK(contains(error_in(file, "layer/0/w").what(), "overlaps"));
}

TEST_CASE("every truncation and many flipped bytes are read or refused, never worse") {
  std::mt19937 random(7);
  const TemporaryDirectory folder;
  for (const std::string& valid : {read_file(fixture("three_stored.npz")), read_file(fixture("three_deflated.npz")),
                                   read_file(fixture("zip64.npz")), forced_zip64(folder / "z.npz")}) {
    for (std::size_t size = 0; size < valid.size(); ++size)
      REQUIRE(error_in(valid.substr(0, size), "Q").status() == Status::data);
    const std::size_t directory = directory_of(valid);
    for (int round = 0; round < 4000; ++round) {
      std::string file = valid;
      for (auto flips = 1 + random() % 3; flips > 0; --flips) {
        // Most of the interest is in the directory.
        const std::size_t from = random() % 4 == 0 ? 0 : directory;
        file[from + random() % (file.size() - from)] = static_cast<char>(random());
      }
      check_survives(file);
    }
  }
}

TEST_CASE("written archives read back; stored arrays are aligned for mapping") {
  const TemporaryDirectory folder;
  for (const bool deflate : {false, true}) {
    CAPTURE(deflate);
    const std::string file = folder / "out.npz";
    Outputs outputs;
    WriteOptions options;
    options.deflate = deflate;
    for (const DType type : all_types) {
      const Array array = sample_array(type, {3, 5});
      std::memcpy(outputs.add(FileName::parse_output(fmt::format("{}:{}", file, dtype_name(type))), "x", type, {3, 5}, options),
                  array.data(), array.bytes());
    }
    outputs.commit();
    for (const DType type : all_types) check_sample(read(fmt::format("{}:{}", file, dtype_name(type))).array, type, {3, 5});
    if (deflate) continue;
    const std::string bytes = read_file(file);
    const ZipArchive archive(bytes_of(bytes), file);
    for (const ZipEntry& entry : archive.entries())
      CHECK((reinterpret_cast<const char*>(archive.raw_bytes(entry).data()) - bytes.data()) % 64 == 0);
  }
  CHECK(folder.names() == std::vector<std::string>{"out.npz"});
}

TEST_CASE("deflate makes large regular arrays small, and large entries are mapped") {
  const TemporaryDirectory folder;
  const Array array = sample_array(DType::f32, {1000, 700});
  WriteOptions deflated;
  deflated.deflate = true;
  write_array(FileName::parse_output(folder / "small.npz:Y"), array, deflated);
  write_array(FileName::parse_output(folder / "large.npz:Y"), array, {});
  CHECK(std::filesystem::file_size(folder / "small.npz") < 100000);
  check_sample(read(folder / "small.npz").array, DType::f32, {1000, 700});
  const Loaded large = read(folder / "large.npz");
  CHECK(large.mapped != nullptr);
  check_sample(large.array, DType::f32, {1000, 700});
}

TEST_CASE("ZIP64 records are written where needed and read") {
  const TemporaryDirectory folder;
  const std::string file = forced_zip64(folder / "z.npz");
  check_sample(parse(file, "stored"), DType::f32, {3, 5});
  check_sample(parse(file, "deflated"), DType::f32, {3, 5});
  CHECK(contains(file, "PK\6\6"));
  std::string damaged = file;
  damaged[file.find("PK\6\6")] = 'X';
  CHECK(contains(error_in(damaged, "stored").what(), "ZIP64"));
}

TEST_CASE("the same arrays give the same bytes, those that tests/data/check_written.py found right") {
  const TemporaryDirectory folder;
  write_stored(folder / "stored.npz");
  CHECK(read_file(folder / "stored.npz") == read_file(fixture("written_stored.npz")));
  CHECK(forced_zip64(folder / "zip64.npz", {false}) == read_file(fixture("written_zip64.npz")));
}

TEST_CASE("write the files that check_written.py looks at" * doctest::skip()) {
  write_stored(fixture("written_stored.npz"));
  (void)forced_zip64(fixture("written_zip64.npz"), {false});
}
