// NPY output: a header, and the elements mapped behind it.
#include "io/builder.hpp"
#include "io/npy.hpp"

#include <cstddef>

namespace attn {

namespace {

class NpyBuilder final : public FileBuilder {
 public:
  explicit NpyBuilder(StagedFile& file) : file_(file) {}

  std::byte* add(const std::string& /*name*/, DType type, const Shape& shape, bool /*deflate*/) override {
    const std::string header = npy_header(type, shape);
    const std::size_t item = item_size(type);
    const std::size_t bytes = element_count(shape, item) * item;
    file_.resize(header.size() + bytes);
    file_.write_at(0, header);
    return file_.map(header.size(), bytes);
  }

  void complete() override {}

 private:
  StagedFile& file_;
};

}  // namespace

std::unique_ptr<FileBuilder> make_npy_builder(StagedFile& file) { return std::make_unique<NpyBuilder>(file); }

}  // namespace attn
