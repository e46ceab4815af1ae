// The outputs of one command: declared, filled in place, published together.
#include "io/builder.hpp"
#include "io/csv.hpp"
#include "io/csv_dialect.hpp"
#include "io/descriptor.hpp"
#include "io/npy.hpp"
#include "io/staged_file.hpp"
#include "io/target.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace attn {

namespace {

/// Collects pieces and hands them on in large blocks.
class BlockSink final : public Outputs::TextSink {
 public:
  explicit BlockSink(std::function<void(std::string_view)> take) : take_(std::move(take)) {}

  void write(std::string_view piece) override {
    if (block_.size() + piece.size() > block_size) flush();
    if (piece.size() >= block_size) {
      take_(piece);
    } else {
      block_ += piece;
    }
  }

  void flush() {
    if (!block_.empty()) take_(block_);
    block_.clear();
  }

 private:
  static constexpr std::size_t block_size = std::size_t{1} << 18U;
  std::function<void(std::string_view)> take_;
  std::string block_;
};

using TextProducer = std::function<void(Outputs::TextSink&)>;

/// One path: either arrays in a binary format, or text that is produced at the end.
struct OutputFile {
  Target target;
  std::optional<Format> binary;          ///< NPY, NPZ or safetensors
  std::unique_ptr<StagedFile> staged;    ///< null for text on its way to a stream
  std::unique_ptr<StagedFile> scratch;   ///< the array of a CSV file
  std::unique_ptr<FileBuilder> builder;  ///< binary formats
  TextProducer producer;                 ///< text

  void complete() {
    if (builder) builder->complete();
    if (producer && staged) {
      std::uint64_t end = 0;
      BlockSink sink([&](std::string_view piece) {
        staged->write_at(end, piece);
        end += piece.size();
      });
      producer(sink);
      sink.flush();
    }
    if (staged) staged->finish();
  }

  void write_stream() {
    Descriptor opened;
    if (!target.standard()) {
      opened = Descriptor(::open(target.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
      if (!opened) throw Error(Status::io, {target.label}, fmt::format("cannot be written: {}", system_message(errno)));
    }
    const int fd = target.standard() ? STDOUT_FILENO : opened.get();
    if (staged) {
      const auto size = static_cast<std::size_t>(staged->size());
      write_all(fd, {staged->map(0, size), size}, target.label);
      staged->unmap();
    } else {
      BlockSink sink([&](std::string_view piece) { write_all(fd, std::as_bytes(std::span(piece)), target.label); });
      producer(sink);
      sink.flush();
    }
  }
};

bool is_container(Format format) { return format == Format::npz || format == Format::safetensors; }

/// Where the array goes and in which format; a colon that selects nothing belongs to the path.
std::pair<FileName, Format> destination(const FileName& name, const WriteOptions& options) {
  const auto format_of = [&](const std::string& path) { return options.to.value_or(format_of_path(path).value_or(Format::csv)); };
  if (name.selector.empty() || is_container(format_of(name.path))) return {name, format_of(name.path)};
  if (name.is_standard_stream() || format_of_path(name.path))
    throw Error(Status::usage,
                fmt::format("'{}': only NPZ and safetensors outputs name their arrays behind a colon", name.text()));
  const std::string path = name.text();
  return {{path, {}}, format_of(path)};
}

void require_matrix(const Target& target, const Shape& shape) {
  try {
    (void)csv_shape(shape);
  } catch (const Error& error) {
    throw Error(error.status(), {target.label}, error.what(), error.hint());
  }
}

std::unique_ptr<FileBuilder> make_builder(Format format, StagedFile& file, const std::string& scratch_folder) {
  switch (format) {
    case Format::npy:
      return make_npy_builder(file);
    case Format::npz:
      return make_npz_builder(file, scratch_folder);
    case Format::safetensors:
      return make_safetensors_builder(file, scratch_folder);
    default:
      throw Error(Status::defect, "this format has no builder");
  }
}

}  // namespace

struct Outputs::Impl {
  std::string temporary_folder;
  std::vector<OutputFile> files;

  OutputFile* find(const Target& target) {
    if (target.shared) return nullptr;
    const auto same = [&](const OutputFile& file) { return file.target.key() == target.key(); };
    const auto found = std::ranges::find_if(files, same);
    return found == files.end() ? nullptr : &*found;
  }

  [[noreturn]] static void throw_twice(const Target& target) {
    throw Error(Status::usage, fmt::format("two outputs go to {}", target.standard() ? target.label : "'" + target.label + "'"));
  }

  const std::string& scratch_folder(const Target& target) const { return target.stream ? temporary_folder : target.folder; }

  OutputFile& create(Target target, std::optional<Format> binary, std::uint64_t expected_bytes,
                     StagedFile::Naming naming = StagedFile::Naming::where_needed) {
    OutputFile file;
    file.binary = binary;
    if (!target.stream) {
      file.staged = std::make_unique<StagedFile>(target, naming);
    } else if (binary) {
      file.staged = std::make_unique<StagedFile>(temporary_folder, expected_bytes, target.label);
    }
    if (binary) file.builder = make_builder(*binary, *file.staged, scratch_folder(target));
    file.target = std::move(target);
    files.push_back(std::move(file));
    return files.back();
  }

  /// The array waits in scratch memory; its text is produced at the end.
  std::byte* add_array_text(Target target, std::size_t bytes, Outputs::ArrayText text) {
    auto scratch = std::make_unique<StagedFile>(scratch_folder(target), bytes, target.label);
    scratch->resize(bytes);
    std::byte* memory = scratch->map(0, bytes);
    OutputFile& file = create(std::move(target), std::nullopt, 0);
    file.scratch = std::move(scratch);
    file.producer = [memory, text = std::move(text)](TextSink& sink) { text(sink, memory); };
    return memory;
  }
};

Outputs::Outputs(std::string temporary_folder) : impl_(std::make_unique<Impl>()) {
  impl_->temporary_folder = std::move(temporary_folder);
}
Outputs::~Outputs() = default;
Outputs::Outputs(Outputs&&) noexcept = default;
Outputs& Outputs::operator=(Outputs&&) noexcept = default;

std::byte* Outputs::add(const FileName& name, std::string_view default_name, DType type, const Shape& shape,
                        const WriteOptions& options) {
  const auto [file_name, format] = destination(name, options);
  Target target = resolve_target(file_name.path);
  const std::size_t item = item_size(type);
  const std::size_t bytes = element_count(shape, item) * item;
  OutputFile* present = impl_->find(target);
  if (is_text(format)) {
    require_matrix(target, shape);
    if (options.delimiter) check_delimiter(*options.delimiter);
    if (present != nullptr) Impl::throw_twice(target);
    const char delimiter = format == Format::tsv ? '\t' : ',';
    return impl_->add_array_text(std::move(target), bytes, [=](TextSink& sink, const std::byte* memory) {
      write_csv(sink, type, shape, memory, options, delimiter);
    });
  }
  if (target.terminal)
    throw Error(Status::usage, fmt::format("{} output is binary and is not written to a terminal", format_name(format)),
                "redirect it to a file or a pipe, or use --to csv");
  if (present != nullptr && (present->binary != format || !is_container(format))) Impl::throw_twice(target);
  const bool known = format == Format::npy;
  OutputFile& file =
      present != nullptr
          ? *present
          : impl_->create(std::move(target), format, known ? npy_header(type, shape).size() + bytes : StagedFile::unknown_size);
  const std::string array_name = file_name.selector.empty() ? std::string(default_name) : file_name.selector;
  return file.builder->add(array_name, type, shape, options.deflate);
}

std::optional<Outputs::Shared> Outputs::add_shared(const FileName& name, DType type, const Shape& shape,
                                                   const WriteOptions& options) {
  const auto [file_name, format] = destination(name, options);
  Target target = resolve_target(file_name.path);
  if (format != Format::npy || target.stream) return std::nullopt;
  if (impl_->find(target) != nullptr) Impl::throw_twice(target);
  const std::string header = npy_header(type, shape);
  const std::size_t item = item_size(type);
  OutputFile& file = impl_->create(std::move(target), Format::npy, StagedFile::unknown_size, StagedFile::Naming::always);
  file.builder = nullptr;
  file.staged->resize(header.size() + element_count(shape, item) * item);
  file.staged->write_at(0, header);
  return Shared{.path = file.staged->temporary_path(), .offset = header.size()};
}

void Outputs::put(void* at, std::span<const std::byte> bytes) {
  auto* to = static_cast<std::byte*>(at);
  if (bytes.size() >= long_piece) {
    for (const OutputFile& file : impl_->files) {
      if (file.staged && file.staged->put(to, bytes)) return;
      if (file.scratch && file.scratch->put(to, bytes)) return;
    }
  }
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

std::byte* Outputs::add_text(const FileName& name, DType type, const Shape& shape, ArrayText producer) {
  Target target = resolve_target(name.text());
  if (impl_->find(target) != nullptr) Impl::throw_twice(target);
  const std::size_t item = item_size(type);
  return impl_->add_array_text(std::move(target), element_count(shape, item) * item, std::move(producer));
}

void Outputs::add_text(const FileName& name, std::function<void(TextSink&)> producer) {
  Target target = resolve_target(name.text());
  if (impl_->find(target) != nullptr) Impl::throw_twice(target);
  OutputFile& file = impl_->create(std::move(target), std::nullopt, 0);
  file.producer = std::move(producer);
}

void Outputs::add_binary(const FileName& name, std::string_view kind, const std::string& hint,
                         std::function<void(TextSink&)> producer) {
  if (resolve_target(name.text()).terminal)
    throw Error(Status::usage, fmt::format("{} output is binary and is not written to a terminal", kind),
                "redirect it to a file or a pipe, or " + hint);
  add_text(name, std::move(producer));
}

void Outputs::require_distinct_from(const Outputs& other) const {
  for (const OutputFile& file : other.impl_->files)
    if (impl_->find(file.target) != nullptr) Impl::throw_twice(file.target);
}

void Outputs::commit() {
  std::vector<OutputFile>& files = impl_->files;
  for (OutputFile& file : files) file.complete();
  // Streams cannot be taken back, so they come after everything that is likely to fail, and standard output last of them.
  for (OutputFile& file : files)
    if (file.target.stream && !file.target.standard()) file.write_stream();
  for (OutputFile& file : files)
    if (file.target.standard()) file.write_stream();
  const auto named = [](const OutputFile& file) { return !file.target.stream; };
  for (OutputFile& file : files)
    if (named(file)) file.staged->stage();
  try {
    for (OutputFile& file : files)
      if (named(file)) file.staged->publish();
  } catch (...) {
    for (OutputFile& file : files)
      if (named(file)) file.staged->retract();
    throw;
  }
  files.clear();
}

void write_array(const FileName& name, const Array& array, const WriteOptions& options) {
  Outputs outputs;
  std::byte* memory = outputs.add(name, "array", array.dtype(), array.shape(), options);
  if (!array.empty()) std::memcpy(memory, array.data(), array.bytes());
  outputs.commit();
}

}  // namespace attn
