// Outputs: complete or absent; names that clash; targets that cannot be written; CSV.
#include "io/outputs_support.hpp"
#include "io/staged_file.hpp"
#include "io/support.hpp"
#include "io/target.hpp"

#include <attn/io.hpp>

#include <array>
#include <csignal>
#include <cstring>
#include <limits>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace attn;
using namespace attn::test;

TEST_CASE("nothing appears before commit, and everything with it") {
  const TemporaryDirectory folder;
  {
    Outputs outputs;
    add_sample(outputs, folder / "a.npy");
    add_sample(outputs, folder / "b.npz:x");
    add_sample(outputs, folder / "c.safetensors");
    outputs.add_text({folder / "d.txt", {}}, [](Outputs::TextSink& sink) {
      sink.write("one\n");
      sink.write(std::string(1000000, 'x'));
      sink.write("two\n");
    });
    CHECK(folder.names().empty());
  }
  CHECK(folder.names().empty());
  Outputs outputs;
  add_sample(outputs, folder / "a.npy");
  add_sample(outputs, folder / "b.npz:x");
  add_sample(outputs, folder / "c.safetensors");
  outputs.add_text({folder / "d.txt", {}}, [](Outputs::TextSink& sink) { sink.write("text"); });
  outputs.commit();
  CHECK(folder.names() == Names{"a.npy", "b.npz", "c.safetensors", "d.txt"});
  check_sample(read(folder / "b.npz:x").array, DType::f32, {3, 5});
  check_sample(read(folder / "c.safetensors:array").array, DType::f32, {3, 5});
  CHECK(read_file(folder / "d.txt") == "text");
}

TEST_CASE("memory is zero-filled, empty arrays too are written") {
  const TemporaryDirectory folder;
  for (const std::string name : {"x.npy", "x.npz", "x.safetensors"}) {
    CAPTURE(name);
    Outputs outputs;
    const std::byte* memory = outputs.add({folder / name, {}}, "y", DType::f64, {700, 3}, {});
    for (std::size_t i = 0; i < 700 * 3 * 8; ++i) REQUIRE(memory[i] == std::byte{0});
    outputs.commit();
    CHECK(read(folder / name).array.shape() == Shape{700, 3});
    Outputs empty;
    CHECK(empty.add({folder / name, {}}, "y", DType::f64, {0, 3}, {}) != nullptr);
    empty.commit();
    CHECK(read(folder / name).array.shape() == Shape{0, 3});
  }
}

TEST_CASE("a producer that fails leaves all files as they were") {
  const TemporaryDirectory folder;
  write_file(folder / "a.npy", "old");
  Outputs outputs;
  add_sample(outputs, folder / "a.npy");
  outputs.add_text({folder / "b.txt", {}}, [](Outputs::TextSink&) { throw Error(Status::data, "no"); });
  CHECK(error_of([&] { outputs.commit(); }).status() == Status::data);
  CHECK(read_file(folder / "a.npy") == "old");
  CHECK(folder.names() == Names{"a.npy"});
}

TEST_CASE("an input may be the output: the mapped input stays as it was") {
  const TemporaryDirectory folder;
  const std::string file = folder / "x.npy";
  const Shape shape{1000, 300};
  write_array({file, {}}, sample_array(DType::f64, shape), {});
  const Loaded input = read(file);
  REQUIRE(input.mapped != nullptr);
  Outputs outputs;
  std::byte* memory = outputs.add({file, {}}, "x", DType::f64, shape, {});
  std::memset(memory, 0x11, input.array.bytes());
  check_sample(input.array, DType::f64, shape);
  verify_unchanged(input);
  outputs.commit();
  check_sample(input.array, DType::f64, shape);
  verify_unchanged(input);
  CHECK(read(file).array.at_flat(0) != sample_value(DType::f64, 0));
  CHECK(folder.names() == Names{"x.npy"});
}

TEST_CASE("replaced files keep their permissions, new ones get those of the user's mask") {
  const TemporaryDirectory folder;
  const mode_t mask = ::umask(027);
  add_sample(*std::make_unique<Outputs>(), folder / "unused.npy");
  write_array({folder / "new.npy", {}}, sample_array(DType::f32, {2}), {});
  write_file(folder / "old.npy", "old");
  REQUIRE(::chmod((folder / "old.npy").c_str(), 0604) == 0);
  write_array({folder / "old.npy", {}}, sample_array(DType::f32, {2}), {});
  ::umask(mask);
  CHECK(mode_of(folder / "new.npy") == 0640);
  CHECK(mode_of(folder / "old.npy") == 0604);
}

TEST_CASE("symbolic links are followed, to what is not there as well") {
  const TemporaryDirectory folder;
  REQUIRE(::mkdir((folder / "sub").c_str(), 0777) == 0);
  write_file(folder / "sub/old.npy", "old");
  REQUIRE(::symlink("sub/old.npy", (folder / "old.npy").c_str()) == 0);
  REQUIRE(::symlink("sub/new.npy", (folder / "new.npy").c_str()) == 0);
  REQUIRE(::symlink("loop.npy", (folder / "loop.npy").c_str()) == 0);
  write_array({folder / "old.npy", {}}, sample_array(DType::f32, {2}), {});
  write_array({folder / "new.npy", {}}, sample_array(DType::f32, {2}), {});
  CHECK(std::filesystem::is_symlink(folder / "old.npy"));
  CHECK(std::filesystem::is_symlink(folder / "new.npy"));
  CHECK(read(folder / "sub/old.npy").array.size() == 2);
  CHECK(read(folder / "sub/new.npy").array.size() == 2);
  CHECK(status_of_add(folder / "loop.npy") == Status::io);
  // The same file under two names is still one file.
  Outputs outputs;
  add_sample(outputs, folder / "old.npy");
  CHECK(error_of([&] { add_sample(outputs, folder / "sub/../sub/old.npy"); }).status() == Status::usage);
}

TEST_CASE("targets that cannot be written are refused before anything is computed") {
  const TemporaryDirectory folder;
  CHECK(status_of_add(folder / "missing/x.npy") == Status::io);
  CHECK(contains(error_of([&] { add_sample(*std::make_unique<Outputs>(), folder / "missing/x.npy"); }).what(), "no folder"));
  CHECK(status_of_add(folder.path().string(), as(Format::npy)) == Status::io);
  CHECK(status_of_add(folder / "x/", as(Format::npy)) == Status::io);
  write_file(folder / "file", "");
  CHECK(status_of_add(folder / "file/x.npy") == Status::io);
  CHECK(status_of_add("/proc/x.npy") == Status::io);
  CHECK(status_of_add("") == Status::usage);
  CHECK(folder.names() == Names{"file"});
}

TEST_CASE("two outputs to one place are refused, except as members of a container") {
  const TemporaryDirectory folder;
  Outputs outputs;
  add_sample(outputs, folder / "a.npy");
  add_sample(outputs, folder / "b.npz:x");
  add_sample(outputs, folder / "b.npz:y");
  const auto clash = [&](const std::string& file, const WriteOptions& options = {}) {
    return error_of([&] { add_sample(outputs, file, DType::f32, {3, 5}, options); }).status() == Status::usage;
  };
  CHECK(clash(folder / "a.npy"));
  CHECK(clash(folder / "./a.npy"));
  CHECK(clash(folder / "b.npz:x"));
  CHECK(clash(folder / "b.npz:x.npy"));
  CHECK(clash(folder / "b.npz", as(Format::safetensors)));
  CHECK(error_of([&] { outputs.add_text({folder / "a.npy", {}}, [](Outputs::TextSink&) {}); }).status() == Status::usage);
  add_sample(outputs, "/dev/null", DType::f32, {3, 5}, as(Format::npy));
  add_sample(outputs, "/dev/null", DType::f32, {3, 5}, as(Format::npy));
  outputs.commit();
  CHECK(folder.names() == Names{"a.npy", "b.npz"});
}

TEST_CASE("outputs of two times do not share a place") {
  const TemporaryDirectory folder;
  Outputs first;
  Outputs second;
  add_sample(first, folder / "a.npy");
  add_sample(first, "/dev/null", DType::f32, {2}, as(Format::npy));
  add_sample(second, "/dev/null", DType::f32, {2}, as(Format::npy));
  first.require_distinct_from(second);
  second.add_text({folder / "./a.npy", {}}, [](Outputs::TextSink&) {});
  CHECK(error_of([&] { first.require_distinct_from(second); }).status() == Status::usage);
}

TEST_CASE("a colon splits names of containers and belongs to others") {
  const TemporaryDirectory folder;
  CHECK(FileName::parse_output("out.npz:Y").selector == "Y");
  CHECK(FileName::parse_output("a:b.npy").path == "a:b.npy");
  CHECK(FileName::parse_output("-:Y").path == "-");
  CHECK(FileName::parse_output(":x").path == ":x");
  // As an input's name is parsed, so that callers who do not know better are right as well.
  Outputs outputs;
  (void)outputs.add({folder / "a", "b.npy"}, "x", DType::f32, {2}, {});
  CHECK(error_of([&] { (void)outputs.add({folder / "a.npy", "b"}, "x", DType::f32, {2}, {}); }).status() == Status::usage);
  (void)outputs.add({folder / "c", "name"}, "x", DType::f32, {2}, as(Format::npz));
  outputs.commit();
  CHECK(folder.names() == Names{"a:b.npy", "c"});
  CHECK(read((folder / "c") + ":name").array.size() == 2);
}

TEST_CASE("concurrent writers of one path leave one complete file") {
  const TemporaryDirectory folder;
  const std::string file = folder / "x.npy";
  const auto write_often = [&file](unsigned char byte) {
    for (int round = 0; round < 200; ++round) {
      Array array(DType::u8, {40000});
      std::memset(array.mutable_data(), byte, array.bytes());
      write_array({file, {}}, array, {});
    }
  };
  std::thread one(write_often, 1);
  std::thread two(write_often, 2);
  for (int round = 0; round < 200; ++round) {
    if (!std::filesystem::exists(file)) continue;
    const Array array = read(file).array;
    REQUIRE(array.size() == 40000);
    const double first = array.at_flat(0);
    for (std::size_t i = 0; i < array.size(); ++i) REQUIRE(array.at_flat(i) == first);
  }
  one.join();
  two.join();
  CHECK(folder.names() == Names{"x.npy"});
}

TEST_CASE("CSV: by name, by option and for names that say nothing; text is made at commit") {
  const TemporaryDirectory folder;
  const Array array = Array::of<float>({2, 1, 3}, {1, 2.5F, -0.0F, 1e30F, std::numeric_limits<float>::infinity(), 0.1F});
  const auto put = [&](const std::string& name, const WriteOptions& options) {
    write_array({folder / name, {}}, array, options);
    return read_file(folder / name);
  };
  CHECK(put("a.csv", {}) == "1,2.5,-0\n1e+30,inf,0.1\n");
  CHECK(put("a.tsv", {}) == "1\t2.5\t-0\n1e+30\tinf\t0.1\n");
  CHECK(put("a.txt", {}) == read_file(folder / "a.csv"));
  CHECK(put("a.npy", as(Format::csv)) == read_file(folder / "a.csv"));
  WriteOptions named;
  named.column_names = {"x", "y", "z"};
  named.delimiter = ';';
  CHECK(put("b.csv", named) == "x;y;z\n1;2.5;-0\n1e+30;inf;0.1\n");
  Outputs outputs;
  const Error error = error_of([&] { (void)outputs.add({folder / "c.csv", {}}, "x", DType::f32, {2, 3, 4}, {}); });
  CHECK(error.status() == Status::usage);
  CHECK(contains(error.hint(), "NPY"));
  add_sample(outputs, folder / "d.csv");
  CHECK(error_of([&] { add_sample(outputs, folder / "d.csv"); }).status() == Status::usage);
  outputs.commit();
  CHECK(folder.names() == Names{"a.csv", "a.npy", "a.tsv", "a.txt", "b.csv", "d.csv"});
}

TEST_CASE("pieces put by several threads arrive where copying would have brought them") {
  const TemporaryDirectory folder;
  const Shape shape{500, 777};
  const Array array = sample_array(DType::f32, shape);
  for (const std::string name : {"x.npy", "x.npz", "deflated.npz", "x.safetensors", "x.csv"}) {
    CAPTURE(name);
    Outputs outputs;
    add_sample(outputs, folder / ("other-" + name));
    WriteOptions options;
    options.deflate = name == "deflated.npz";
    std::byte* memory = outputs.add({folder / name, {}}, "y", DType::f32, shape, options);
    // Long pieces at odd places, and the short ones between them.
    const std::size_t ends[] = {0, 12, 300000, 300001, 700003, 700003, 1000000, array.bytes()};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i + 1 < std::size(ends); ++i)
      threads.emplace_back([&, i] { outputs.put(memory + ends[i], {array.data() + ends[i], ends[i + 1] - ends[i]}); });
    for (std::thread& thread : threads) thread.join();
    CHECK(std::memcmp(memory, array.data(), array.bytes()) == 0);
    outputs.commit();
    const Array back = read(folder / name).array;
    REQUIRE(back.bytes() == array.bytes());
    CHECK(std::memcmp(back.data(), array.data(), array.bytes()) == 0);
  }
}
