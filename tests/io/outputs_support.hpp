// What the tests of outputs share: sample arrays on their way to files, and actions in another process.
#pragma once

#include "io/support.hpp"

#include <attn/io.hpp>

#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace attn::test {

using Names = std::vector<std::string>;

inline void add_sample(Outputs& outputs, const std::string& file, DType type = DType::f32, const Shape& shape = {3, 5},
                       const WriteOptions& options = {}) {
  const Array array = sample_array(type, shape);
  std::byte* memory = outputs.add(FileName::parse_output(file), "array", type, shape, options);
  if (!array.empty()) std::memcpy(memory, array.data(), array.bytes());
}

inline Status status_of_add(const std::string& file, const WriteOptions& options = {}) {
  return error_of([&] {
           Outputs outputs;
           add_sample(outputs, file, DType::f32, {3, 5}, options);
         })
      .status();
}

/// Runs `action` in another process; returns what waitpid says.
template <class Action>
int in_child(Action&& action) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      action();
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.status()));
    } catch (...) {
      ::_exit(99);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

inline mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

inline WriteOptions as(Format format) {
  WriteOptions options;
  options.to = format;
  return options;
}

}  // namespace attn::test
