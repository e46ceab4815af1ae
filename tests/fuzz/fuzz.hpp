// What the fuzz targets share: exact copies of the input, a silent reporter, and which errors may end a call.
#pragma once

#include <attn/array.hpp>
#include <attn/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

namespace attn::fuzz {

/// Ends the program as a finding when `holds` is false.
inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "FINDING: %s\n", what.c_str());
  std::abort();
}

class Silent : public Reporter {
 public:
  void warn(const std::string& message) override { require(!message.empty(), "an empty warning"); }
  void note(const std::string& message) override { require(!message.empty(), "an empty note"); }
};

/// The input in memory of its own that ends where it ends, so that every byte read beyond is found. It begins at an odd address
/// as often as not: files are not aligned either.
struct Copy {
  Copy(const std::uint8_t* data, std::size_t size) {
    const std::size_t shift = size % 3;
    const std::shared_ptr<std::byte[]> memory(new std::byte[shift + size]);
    if (size > 0) std::memcpy(memory.get() + shift, data, size);
    owner = memory;
    bytes = {memory.get() + shift, size};
  }
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

/// Reads every element.
inline void touch(const Array& array) {
  double sum = 0;
  for (std::size_t i = 0; i < array.size(); ++i) sum += array.at_flat(i);
  volatile double result = sum;
  (void)result;
  require(array.rank() <= 4, "more than 4 dimensions");
  require(element_count(array.shape()) == array.size(), "the shape and the number of elements differ");
}

/// True when both hold the same type, shape and bytes.
inline bool same_bytes(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && (a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0);
}

/// Runs `call` and returns true when it ended well. Of exceptions only Error with one of the `allowed` statuses may come, with a
/// message of one line; all others are findings.
template <class Call>
bool attempt(std::initializer_list<Status> allowed, Call&& call) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    bool expected = false;
    for (const Status status : allowed) expected = expected || error.status() == status;
    const std::string message = error.what();
    require(expected, "status " + std::to_string(static_cast<int>(error.status())) + ": " + message);
    require(!message.empty() && message.find('\n') == std::string::npos, "not a message of one line: " + message);
    return false;
  }
}

}  // namespace attn::fuzz
