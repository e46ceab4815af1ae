// What the tests of files share: fixtures, temporary folders, a reporter that remembers, and the rule of the sample values.
#pragma once

#include <attn/array.hpp>
#include <attn/error.hpp>
#include <attn/io.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

namespace attn::test {

inline std::string fixture(const std::string& name) { return std::string(ATTN_TEST_DATA) + "/io/" + name; }

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

inline void spill(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE_MESSAGE(file.good(), path);
}

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// A folder that is removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "attn-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// The names in the folder, sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) result.push_back(entry.path().filename().string());
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  std::string path_;
};

class RecordingReporter final : public Reporter {
 public:
  void warn(const std::string& message) override { warnings.push_back(message); }
  void note(const std::string& message) override { notes.push_back(message); }
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

inline Loaded read(const std::string& file, const ReadOptions& options = {}) {
  RecordingReporter reporter;
  return read_array(FileName::parse(file), options, reporter);
}

/// The error that `action` throws; fails when it throws none.
template <class Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {Status::defect, ""};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What element i of a fixture holds, see tests/data/make_io_fixtures.py.
inline double sample_value(DType type, std::size_t i) {
  const auto step = static_cast<double>(i % 7);
  if (is_floating(type)) return step - 2.5;
  if (type == DType::boolean) return i % 3 == 0 ? 1 : 0;
  const bool is_unsigned = type == DType::u8 || type == DType::u16 || type == DType::u32 || type == DType::u64;
  return is_unsigned ? step : step - 3;
}

/// Whether `array` is the sample of that type and shape; says where it is not.
inline void check_sample(const Array& array, DType type, const Shape& shape) {
  CHECK(array.dtype() == type);
  REQUIRE(array.shape() == shape);
  for (std::size_t i = 0; i < array.size(); ++i) {
    INFO("element " << i);
    REQUIRE(array.at_flat(i) == sample_value(type, i));
  }
}

inline Array sample_array(DType type, const Shape& shape) {
  std::vector<double> values(element_count(shape));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = sample_value(type, i);
  return Array::of<double>(shape, values).converted(type);
}

inline constexpr DType all_types[] = {DType::f16, DType::bf16, DType::f32, DType::f64, DType::i8,  DType::i16,    DType::i32,
                                      DType::i64, DType::u8,   DType::u16, DType::u32, DType::u64, DType::boolean};

}  // namespace attn::test
