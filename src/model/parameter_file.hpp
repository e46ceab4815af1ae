// A file of named tensors: a safetensors file, an NPZ, or the index of a checkpoint that is split over several safetensors files.
#pragma once

#include <attn/io.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace attn::model {

/// The names, types and shapes of all tensors; elements are read, mapped where they can be, when a tensor is loaded.
class ParameterFile {
 public:
  /// Reads the headers. Throws Error(usage) for standard input and names with a selector, Error(data) for files that are neither
  /// NPZ nor safetensors nor an index (`*.index.json`, with a `weight_map`), and what reading throws.
  ParameterFile(const std::string& path, Reporter& reporter);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const std::vector<ArrayEntry>& entries() const noexcept { return entries_; }
  /// nullptr when there is no such tensor.
  [[nodiscard]] const ArrayEntry* find(const std::string& name) const;
  /// Throws Error(data) for tensors of types that attn does not read.
  [[nodiscard]] Loaded load(const std::string& name, Reporter& reporter) const;

 private:
  void add(const std::string& file, Reporter& reporter);
  void read_index(Reporter& reporter);

  std::string path_;
  std::vector<ArrayEntry> entries_;
  std::vector<std::string> files_;  ///< beside each entry: the file that holds it
  std::unordered_map<std::string, std::size_t> index_;
};

/// The bytes of a small text file such as a JSON configuration. Throws Error(io) when it cannot be read, and Error(data) when it
/// is larger than 64 MiB.
[[nodiscard]] std::string read_text_file(const std::string& path);

/// `name` in the folder of `path`.
[[nodiscard]] std::string beside(const std::string& path, std::string_view name);

}  // namespace attn::model
