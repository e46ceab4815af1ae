// Inputs: names with colons, formats by name and by content, streams, and files that cannot be read.
#include "io/input.hpp"

#include "io/support.hpp"

#include <attn/io.hpp>

#include <array>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace attn;
using namespace attn::test;

namespace {

/// Standard input reads from the file while this lives.
class StandardInput {
 public:
  explicit StandardInput(const std::string& path) : kept_(::dup(STDIN_FILENO)) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    REQUIRE(fd >= 0);
    ::dup2(fd, STDIN_FILENO);
    ::close(fd);
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;
  ~StandardInput() {
    ::dup2(kept_, STDIN_FILENO);
    ::close(kept_);
  }

 private:
  int kept_;
};

ReadOptions from(Format format) {
  ReadOptions options;
  options.from = format;
  return options;
}

}  // namespace

TEST_CASE("what is let go of is no longer held, and is there when it is read again") {
  const TemporaryDirectory folder;
  const std::string path = folder / "long";
  std::string content(std::size_t{5} << 20U, ' ');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 % 251);
  write_file(path, content);
  const Input input = open_input(path);
  REQUIRE(input.mapped != nullptr);
  const auto held_kib = [&] {
    std::istringstream maps(read_file("/proc/self/smaps"));
    long kib = 0;
    bool is_it = false;
    for (std::string line; std::getline(maps, line);) {
      if (line.find('-') < line.find(' ')) is_it = line.ends_with("/long");
      if (is_it && line.starts_with("Rss:")) kib += std::stol(line.substr(4));
    }
    return kib;
  };
  CHECK(input.text() == content);
  CHECK(held_kib() == 5 * 1024);
  input.mapped->let_go(input.bytes.subspan(0, 100));
  CHECK(held_kib() < 5 * 1024);
  for (std::size_t at = 0; at < content.size(); at += 700'000) {
    const std::span<const std::byte> piece = input.bytes.subspan(at, std::min<std::size_t>(3000, content.size() - at));
    CHECK(input.mapped->holds(piece));
    input.mapped->let_go(piece);
  }
  CHECK(held_kib() == 0);
  CHECK(input.text() == content);
  CHECK_FALSE(input.mapped->holds({input.bytes.data() + 1, input.bytes.size()}));
  CHECK_FALSE(input.mapped->holds(bytes_of(content)));
  input.mapped->let_go({});
}

TEST_CASE("formats by extension") {
  CHECK(format_of_path("a.csv") == Format::csv);
  CHECK(format_of_path("/x/y.z/A.NPY") == Format::npy);
  CHECK(format_of_path("a.b.Npz") == Format::npz);
  CHECK(format_of_path("a.tsv") == Format::tsv);
  CHECK(format_of_path("model.safetensors") == Format::safetensors);
  for (const char* name : {"", "-", "npy", "a.txt", "a.npy/b", "a.", "a.npyx"}) CHECK_FALSE(format_of_path(name).has_value());
}

TEST_CASE("what stands behind a colon selects, unless the path exists as written") {
  const TemporaryDirectory folder;
  const auto parts = [](const std::string& text) {
    const FileName name = FileName::parse(text);
    CHECK(name.text() == text);
    return name.path + "|" + name.selector;
  };
  CHECK(parts("a.npz:Q") == "a.npz|Q");
  CHECK(parts("x:y:z") == "x:y|z");
  CHECK(parts("-") == "-|");
  CHECK(parts("-:Q") == "-|Q");
  CHECK(parts(":x") == ":x|");
  CHECK(parts("x") == "x|");
  const std::string colon = folder / "a:b";
  write_file(colon, "");
  CHECK(parts(colon) == colon + "|");
  CHECK(parts(colon + ":c") == colon + "|c");
  CHECK(parts(colon + ":c:d") == colon + "|c:d");
}

TEST_CASE("files that cannot be read say why") {
  const TemporaryDirectory folder;
  write_file(folder / "numbers.npy", read_file(fixture("version_1.npy")));
  const Error missing = error_of([&] { (void)read(folder / "nunbers.npy"); });
  CHECK(missing.status() == Status::io);
  CHECK(contains(missing.hint(), folder / "numbers.npy"));
  CHECK(contains(error_of([&] { (void)read(folder / "no/x.npy"); }).hint(), "no folder"));
  const Error directory = error_of([&] { (void)read(folder.path().string()); });
  CHECK(directory.status() == Status::io);
  CHECK(contains(directory.what(), "folder"));
  write_file(folder / "empty.npy", "");
  const Error empty = error_of([&] { (void)read(folder / "empty.npy"); });
  CHECK(empty.status() == Status::data);
  CHECK(contains(empty.what(), "empty"));
  CHECK(error_of([&] { (void)read(folder / "numbers.npy/x.npy"); }).status() == Status::io);
  if (::geteuid() != 0) {
    REQUIRE(::chmod((folder / "numbers.npy").c_str(), 0) == 0);
    CHECK(contains(error_of([&] { (void)read(folder / "numbers.npy"); }).what(), "permission"));
  }
}

TEST_CASE("standard input, pipes and devices are read to their end") {
  const TemporaryDirectory folder;
  const std::string file = fixture("little_c_float32.npy");
  {
    const StandardInput redirected(file);
    check_sample(read("-").array, DType::f32, {3, 5});
  }
  {
    const StandardInput redirected(fixture("three_stored.npz"));
    check_sample(read("-:K").array, DType::f64, {4, 5});
  }
  {
    const StandardInput redirected("/dev/null");
    const Error error = error_of([] { (void)read("-"); });
    CHECK(error.status() == Status::data);
    CHECK(contains(error.what(), "no data on standard input"));
  }
  // A large array through a pipe, in pieces; what follows it in the stream is no error.
  const std::string pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const std::string large = folder / "large.npy";
  write_array({large, {}}, sample_array(DType::f64, {500, 1001}), {});
  std::thread writer([&] { write_file(pipe, read_file(large) + read_file(file)); });
  const Loaded loaded = read(pipe);
  writer.join();
  CHECK(loaded.mapped == nullptr);
  check_sample(loaded.array, DType::f64, {500, 1001});
}

TEST_CASE("standard input that is a large file is mapped, one that was read from goes on where it stands") {
  const TemporaryDirectory folder;
  const std::string large = folder / "large.npy";
  write_array({large, {}}, sample_array(DType::f64, {500, 1001}), {});
  {
    const StandardInput redirected(large);
    const Loaded loaded = read("-");
    CHECK(loaded.mapped != nullptr);
    check_sample(loaded.array, DType::f64, {500, 1001});
  }
  write_file(folder / "two", "skip" + read_file(fixture("version_1.npy")));
  const StandardInput redirected(folder / "two");
  std::array<char, 4> skipped{};
  REQUIRE(::read(STDIN_FILENO, skipped.data(), 4) == 4);
  check_sample(read("-").array, DType::f32, {2, 2});
}

TEST_CASE("unknown names and streams are told by their content, and --from decides") {
  const TemporaryDirectory folder;
  for (const char* name : {"one.npz", "one.safetensors", "version_1.npy"}) {
    CAPTURE(name);
    const std::string file = folder / "data";
    write_file(file, read_file(fixture(name)));
    CHECK(read(file).format == format_of_path(name));
    CHECK(read(file, from(*format_of_path(name))).format == format_of_path(name));
  }
}

TEST_CASE("text is read as CSV, from files of any name and from streams, also as names") {
  const TemporaryDirectory folder;
  write_file(folder / "table.txt", "a,b\n1,2.5\n3,4\n");
  write_file(folder / "table.tsv", "1\t2\n");
  const Loaded loaded = read(folder / "table.txt");
  CHECK(loaded.format == Format::csv);
  CHECK(loaded.columns == std::vector<std::string>{"a", "b"});
  CHECK(loaded.name.path == folder / "table.txt");
  CHECK(loaded.array.at_flat(1) == 2.5);
  CHECK(read(folder / "table.tsv").array.shape() == Shape{1, 2});
  CHECK(read(folder / "table.tsv").format == Format::tsv);
  Listener reporter;
  CHECK(read_names(FileName::parse(folder / "table.txt:a"), {}, reporter) == std::vector<std::string>{"1", "3"});
  CHECK(error_of([&] { (void)read_names({fixture("one.npz"), {}}, {}, reporter); }).status() == Status::data);
  const auto entries = list_arrays({folder / "table.txt", {}}, {}, reporter);
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].storage == "text");
  const StandardInput redirected(folder / "table.txt");
  CHECK(read("-:b").array.shape() == Shape{2, 1});
}

TEST_CASE("a name that says one thing over content that is another") {
  const TemporaryDirectory folder;
  const auto refused = [&](const std::string& name, const std::string& content, const std::string& reason,
                           const std::string& hint) {
    CAPTURE(name);
    write_file(folder / name, content);
    const Error error = error_of([&] { (void)read(folder / name); });
    CHECK(error.status() == Status::data);
    CHECK_MESSAGE(contains(error.what(), reason), error.what());
    CHECK_MESSAGE(contains(error.hint(), hint), error.hint());
  };
  const std::string npy = read_file(fixture("version_1.npy"));
  refused("a.npy", "1,2\n3,4\n", "its name says npy, but the content is text", "--from csv");
  refused("a.npz", npy, "its name says npz, but the content is npy", "--from npy");
  refused("a.csv", npy, "its name says csv, but the content is npy", "--from npy");
  refused("a.npy", read_file(fixture("one.npz")), "its name says npy, but the content is npz", "--from npz");
  refused("a.csv", std::string("\x1f\x8b\x08\0\0\0\0\0", 8), "gzip", "gunzip");
  refused("a", std::string("\x1f\x8b\x08\0\0\0\0\0", 8), "gzip", "gunzip");
  refused("a.npy", std::string("\x80\x04\x95\0\0\0\0", 7), "pickle", "never");
  refused("a.npy", std::string("\0\0\0\0\0\0\0", 7), "not an NPY file", "");
  CHECK(error_of([&] { (void)read(fixture("version_1.npy:x")); }).status() == Status::usage);
}

TEST_CASE("no name at all") {
  CHECK(error_of([] { (void)open_input(""); }).status() == Status::usage);
}
