// Outputs and the system: streams, terminals, full devices, signals, nameless files.
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

TEST_CASE("a killed program leaves nothing behind") {
  const TemporaryDirectory folder;
  write_file(folder / "old.npy", "old");
  const int status = in_child([&] {
    Outputs outputs;
    add_sample(outputs, folder / "new.npy");
    add_sample(outputs, folder / "old.npy");
    add_sample(outputs, folder / "x.npz");
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(WIFSIGNALED(status));
  CHECK(folder.names() == Names{"old.npy"});
  CHECK(read_file(folder / "old.npy") == "old");
}

TEST_CASE("a full device is an error of writing, and no file has changed") {
  const TemporaryDirectory folder;
  for (const Format format : {Format::npy, Format::npz, Format::safetensors}) {
    CAPTURE(format_name(format));
    Outputs outputs;
    add_sample(outputs, folder / "a.npy");
    add_sample(outputs, "/dev/full", DType::f32, {3, 5}, as(format));
    const Error error = error_of([&] { outputs.commit(); });
    CHECK(error.status() == Status::io);
    CHECK(error.where().file == "/dev/full");
  }
  CHECK(folder.names().empty());
}

TEST_CASE("a file that may not grow is refused when it is declared") {
  const TemporaryDirectory folder;
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(98);
    Outputs outputs;
    add_sample(outputs, folder / "a.npy", DType::f32, {1000, 1000});
  });
  CHECK(WEXITSTATUS(status) == static_cast<int>(Status::io));
  CHECK(folder.names().empty());
}

TEST_CASE("a piece that the system does not take is an error of writing") {
  const TemporaryDirectory folder;
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    Outputs outputs;
    std::byte* memory = outputs.add({folder / "a.npy", {}}, "a", DType::f32, {1000, 1000}, {});
    const rlimit limit{1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(98);
    const std::vector<std::byte> piece(1 << 20);
    outputs.put(memory + (2 << 20), piece);
  });
  CHECK(WEXITSTATUS(status) == static_cast<int>(Status::io));
  CHECK(folder.names().empty());
}

TEST_CASE("standard output and pipes get what a file would get") {
  const TemporaryDirectory folder;
  for (const Format format : {Format::npy, Format::npz, Format::safetensors}) {
    CAPTURE(format_name(format));
    const std::string file = folder / fmt::format("x.{}", format_name(format));
    const std::string name = format == Format::npy ? "" : "a";
    write_array({file, name}, sample_array(DType::f32, {30, 50}), as(format));
    for (const std::string target : {"-", "/dev/stdout", "/dev/fd/1"}) {
      CAPTURE(target);
      const std::string got = folder / "got";
      const int status = in_child([&] {
        const int fd = ::open(got.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        (void)!::write(fd, "before ", 7);
        ::dup2(fd, STDOUT_FILENO);
        write_array({target, name}, sample_array(DType::f32, {30, 50}), as(format));
      });
      CHECK(status == 0);
      CHECK(read_file(got) == "before " + read_file(file));
    }
    const std::string pipe = folder / "pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    std::string got;
    std::thread reader([&] { got = read_file(pipe); });
    write_array({pipe, name}, sample_array(DType::f32, {30, 50}), as(format));
    reader.join();
    CHECK(got == read_file(file));
    REQUIRE(::unlink(pipe.c_str()) == 0);
  }
}

TEST_CASE("a reader of standard output that goes away ends the program by SIGPIPE and leaves nothing behind") {
  const TemporaryDirectory folder;
  const int status = in_child([&] {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) ::_exit(98);
    ::close(ends[0]);
    ::dup2(ends[1], STDOUT_FILENO);
    Outputs outputs;
    add_sample(outputs, folder / "a.npy");
    add_sample(outputs, "-", DType::f32, {300, 500}, as(Format::npy));
    outputs.commit();
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGPIPE);
  CHECK(folder.names().empty());
}

TEST_CASE("CSV too large for memory waits in a file without a name") {
  const TemporaryDirectory folder;
  const Shape shape{300, 40000};  // 96 MB
  Outputs outputs(folder.path().string());
  auto* memory = outputs.add({"/dev/full", {}}, "x", DType::f64, shape, as(Format::csv));
  memory[element_count(shape, 8) * 8 - 1] = std::byte{1};
  CHECK(error_of([&] { outputs.commit(); }).status() == Status::io);
  CHECK(folder.names().empty());
}

TEST_CASE("binary data does not go to a terminal") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  const std::string path = ::ptsname(terminal);
  const Error error = error_of([&] { add_sample(*std::make_unique<Outputs>(), path, DType::f32, {3, 5}, as(Format::npy)); });
  CHECK(error.status() == Status::usage);
  CHECK(contains(error.hint(), "--to csv"));
  const int status = in_child([&] {
    const int fd = ::open(path.c_str(), O_RDWR | O_NOCTTY);
    ::dup2(fd, STDOUT_FILENO);
    add_sample(*std::make_unique<Outputs>(), "-", DType::f32, {3, 5}, as(Format::npy));
  });
  CHECK(WEXITSTATUS(status) == static_cast<int>(Status::usage));
  ::close(terminal);
}

TEST_CASE("file systems without nameless files get a temporary name, removed when nothing comes of it") {
  const TemporaryDirectory folder;
  write_file(folder / "old", "old");
  for (const std::string name : {"old", "new"}) {
    const Target target = resolve_target(folder / name);
    {
      StagedFile file(target, StagedFile::Naming::always);
      CHECK(folder.names().size() == 2);
      CHECK(folder.names().front().starts_with("." + name + "."));
    }
    StagedFile file(target, StagedFile::Naming::always);
    file.write_at(0, "contents");
    file.finish();
    file.stage();
    file.publish();
    CHECK(read_file(folder / name) == "contents");
  }
  CHECK(folder.names() == Names{"new", "old"});
}

TEST_CASE("a new file that lost its partner is taken back") {
  const TemporaryDirectory folder;
  StagedFile file(resolve_target(folder / "x"));
  file.finish();
  file.stage();
  file.publish();
  CHECK(folder.names() == Names{"x"});
  file.retract();
  CHECK(folder.names().empty());
}

TEST_CASE("large scratch files leave no name, in memory or not") {
  const TemporaryDirectory folder;
  for (const std::uint64_t expected : {std::uint64_t{100}, StagedFile::unknown_size}) {
    StagedFile file(folder.path().string(), expected, "x");
    file.resize(10000);
    std::byte* memory = file.map(5000, 5000);
    memory[4999] = std::byte{42};
    CHECK(*file.map(9999, 1) == std::byte{42});
    CHECK(folder.names().empty());
  }
  CHECK(folder.names().empty());
}
