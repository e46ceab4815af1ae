// What a format makes of the arrays that go to one file.
#pragma once

#include "io/staged_file.hpp"

#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace attn {

class FileBuilder {
 public:
  FileBuilder() = default;
  FileBuilder(const FileBuilder&) = delete;
  FileBuilder& operator=(const FileBuilder&) = delete;
  virtual ~FileBuilder() = default;

  /// Makes room for one more array and returns its memory, zero-filled, valid until complete(). Throws Error(usage) when the file
  /// cannot hold it as well.
  [[nodiscard]] virtual std::byte* add(const std::string& name, DType type, const Shape& shape, bool deflate) = 0;
  /// Writes what depends on the elements; afterwards the file has all its bytes.
  virtual void complete() = 0;
};

/// Each builder fills `file`, which must outlive it. `scratch_folder` takes large arrays that are only written at the end.
[[nodiscard]] std::unique_ptr<FileBuilder> make_npy_builder(StagedFile& file);
/// `force_zip64` uses the ZIP64 records even where plain ones would do (for tests).
[[nodiscard]] std::unique_ptr<FileBuilder> make_npz_builder(StagedFile& file, const std::string& scratch_folder,
                                                            bool force_zip64 = false);
[[nodiscard]] std::unique_ptr<FileBuilder> make_safetensors_builder(StagedFile& file, const std::string& scratch_folder);

}  // namespace attn
