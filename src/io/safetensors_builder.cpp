// Safetensors output: tensors mapped behind room for the header, which is written when all of them are known.
#include "io/builder.hpp"
#include "io/safetensors.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn {

namespace {

/// Where the data begin: room for the header of some 30 tensors. Blanks behind the JSON text are part of the format.
constexpr std::uint64_t first_data_offset = 4096;

struct Tensor {
  std::string name;
  DType type = DType::f32;
  Shape shape;
  std::uint64_t begin = 0;  ///< counted from the first byte of data
  std::uint64_t end = 0;
  /// The data when they cannot be mapped in place: the format packs tensors without gaps, so one may lie unaligned.
  std::unique_ptr<StagedFile> scratch;
  std::byte* data = nullptr;
};

class SafetensorsBuilder final : public FileBuilder {
 public:
  SafetensorsBuilder(StagedFile& file, std::string scratch_folder) : file_(file), scratch_folder_(std::move(scratch_folder)) {}

  std::byte* add(const std::string& name, DType type, const Shape& shape, bool /*deflate*/) override {
    if (name.empty() || name == "__metadata__")
      throw Error(Status::usage, fmt::format("'{}' cannot be the name of a tensor in a safetensors file", name));
    if (std::ranges::any_of(tensors_, [&](const Tensor& other) { return other.name == name; }))
      throw Error(Status::usage, fmt::format("two tensors named '{}' go to one safetensors file", name));
    const std::size_t item = item_size(type);
    const std::size_t bytes = element_count(shape, item) * item;
    Tensor tensor{name, type, shape, data_size_, data_size_ + bytes, nullptr, nullptr};
    (void)entry_text(tensor);  // refuses names that JSON cannot hold
    file_.resize(first_data_offset + tensor.end);
    if (tensor.begin % item == 0) {
      tensor.data = file_.map(first_data_offset + tensor.begin, bytes);
    } else {
      tensor.scratch = std::make_unique<StagedFile>(scratch_folder_, bytes, "a temporary file");
      tensor.scratch->resize(bytes);
      tensor.data = tensor.scratch->map(0, bytes);
    }
    data_size_ = tensor.end;
    tensors_.push_back(std::move(tensor));
    return tensors_.back().data;
  }

  void complete() override {
    for (Tensor& tensor : tensors_) {
      if (!tensor.scratch) continue;
      file_.write_at(first_data_offset + tensor.begin, std::span<const std::byte>(tensor.data, tensor.end - tensor.begin));
      tensor.scratch.reset();
    }
    std::string text = "{";
    for (const Tensor& tensor : tensors_) text += (text.size() == 1 ? "" : ",") + entry_text(tensor);
    text += "}";
    const std::uint64_t data_offset = (safetensors_length_bytes + text.size() + 63) / 64 * 64;
    if (data_offset > first_data_offset) {
      move_data(data_offset);
      text.resize(static_cast<std::size_t>(data_offset - safetensors_length_bytes), ' ');
    } else {
      text.resize(static_cast<std::size_t>(first_data_offset - safetensors_length_bytes), ' ');
    }
    std::string length;
    for (unsigned i = 0; i < safetensors_length_bytes; ++i)
      length += static_cast<char>(static_cast<unsigned char>(text.size() >> (8 * i) & 0xFFU));
    file_.write_at(0, length + text);
  }

 private:
  static std::string entry_text(const Tensor& tensor) {
    try {
      return fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", nlohmann::json(tensor.name).dump(),
                         safetensors_type_name(tensor.type), fmt::join(tensor.shape, ","), tensor.begin, tensor.end);
    } catch (const nlohmann::json::exception&) {
      throw Error(Status::usage, "the name of a tensor in a safetensors file must be valid UTF-8");
    }
  }

  /// Makes more room for the header by moving the data up, from their end on.
  void move_data(std::uint64_t data_offset) {
    constexpr std::uint64_t block = std::uint64_t{1} << 20U;
    file_.unmap();
    file_.resize(data_offset + data_size_);
    for (std::uint64_t left = data_size_; left > 0;) {
      const std::uint64_t size = std::min(left, block);
      left -= size;
      const std::byte* from = file_.map(first_data_offset + left, static_cast<std::size_t>(size));
      const std::vector<std::byte> copy(from, from + size);
      file_.unmap();
      file_.write_at(data_offset + left, copy);
    }
  }

  StagedFile& file_;
  std::string scratch_folder_;
  std::uint64_t data_size_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace

std::unique_ptr<FileBuilder> make_safetensors_builder(StagedFile& file, const std::string& scratch_folder) {
  return std::make_unique<SafetensorsBuilder>(file, scratch_folder);
}

}  // namespace attn
