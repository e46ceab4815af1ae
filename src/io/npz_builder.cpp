// NPZ output: a ZIP archive whose stored arrays are mapped in place and lie where readers can map them too.
#include "io/builder.hpp"
#include "io/npy.hpp"
#include "io/zip.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#define ZLIB_CONST  // input is const
#include <zlib.h>

namespace attn {

namespace {

constexpr std::uint16_t alignment_extra_id = 0xD935;  // "padding for alignment", as Android's zipalign registered it
constexpr std::uint64_t alignment = 64;
constexpr std::uint16_t version_plain = 20;
constexpr std::uint16_t version_zip64 = 45;
constexpr std::uint16_t made_on_unix = 3U << 8U;
constexpr std::uint16_t utf8_names = 1U << 11U;
constexpr std::uint32_t permissions = 0100644U << 16U;
// The first of January 1980: the same arrays give the same bytes.
constexpr std::uint16_t fixed_time = 0;
constexpr std::uint16_t fixed_date = (1U << 5U) | 1U;

/// Little-endian numbers behind one another.
class Record {
 public:
  Record& u16(std::uint64_t value) { return number(value, 2); }
  Record& u32(std::uint64_t value) { return number(value, 4); }
  Record& u64(std::uint64_t value) { return number(value, 8); }
  Record& text(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

 private:
  Record& number(std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes_ += static_cast<char>(static_cast<unsigned char>(value >> (8U * i) & 0xFFU));
    return *this;
  }
  std::string bytes_;
};

struct Member {
  std::string name;    ///< with ".npy"
  std::string header;  ///< of the NPY file
  std::byte* data = nullptr;
  std::size_t data_size = 0;
  std::unique_ptr<StagedFile> scratch;  ///< where `data` is, for deflated arrays
  std::uint16_t method = zip_method_stored;
  bool zip64 = false;
  std::uint64_t offset = 0;  ///< of the local header
  std::uint64_t compressed_size = 0;
  std::uint32_t crc = 0;

  [[nodiscard]] std::uint64_t size() const noexcept { return header.size() + data_size; }
};

std::uint64_t clipped(std::uint64_t value, bool zip64) { return zip64 ? zip_full_32 : value; }

/// What the local header and the directory share, from "version needed" to the length of the name.
void common_fields(Record& record, const Member& member) {
  const bool ascii = std::ranges::all_of(member.name, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  record.u16(member.zip64 ? version_zip64 : version_plain).u16(ascii ? 0 : utf8_names).u16(member.method);
  record.u16(fixed_time).u16(fixed_date).u32(member.crc);
  record.u32(clipped(member.compressed_size, member.zip64)).u32(clipped(member.size(), member.zip64));
  record.u16(member.name.size());
}

std::string local_header(const Member& member) {
  Record extra;
  if (member.zip64) extra.u16(zip64_extra_id).u16(16).u64(member.size()).u64(member.compressed_size);
  if (member.method == zip_method_stored) {
    constexpr std::uint64_t fixed = 30 + 6;  // the header, and the extra field without its padding
    const std::uint64_t start = member.offset + fixed + member.name.size() + extra.bytes().size();
    const std::uint64_t padding = (alignment - start % alignment) % alignment;
    extra.u16(alignment_extra_id).u16(2 + padding).u16(alignment).text(std::string(static_cast<std::size_t>(padding), '\0'));
  }
  Record record;
  record.u32(zip_local_signature);
  common_fields(record, member);
  record.u16(extra.bytes().size()).text(member.name).text(extra.bytes());
  return record.bytes();
}

std::string directory_entry(const Member& member) {
  const bool far = member.zip64 || member.offset >= zip_full_32;
  Record extra;
  if (member.zip64) extra.u64(member.size()).u64(member.compressed_size);
  if (far) extra.u64(member.offset);
  Record record;
  record.u32(zip_central_signature).u16(made_on_unix | (far ? version_zip64 : version_plain));
  common_fields(record, member);
  record.u16(far ? extra.bytes().size() + 4 : 0).u16(0).u16(0).u16(0).u32(permissions).u32(clipped(member.offset, far));
  record.text(member.name);
  if (far) record.u16(zip64_extra_id).u16(extra.bytes().size()).text(extra.bytes());
  return record.bytes();
}

/// The records that end the archive, behind a directory of `size` bytes at `offset`.
std::string archive_end(std::uint64_t entries, std::uint64_t offset, std::uint64_t size, bool force_zip64) {
  const bool zip64 = force_zip64 || entries >= zip_full_16 || offset >= zip_full_32 || size >= zip_full_32;
  Record record;
  if (zip64) {
    record.u32(zip64_end_signature).u64(44).u16(made_on_unix | version_zip64).u16(version_zip64).u32(0).u32(0);
    record.u64(entries).u64(entries).u64(size).u64(offset);
    record.u32(zip64_locator_signature).u32(0).u64(offset + size).u32(1);
  }
  const std::uint64_t count = zip64 ? zip_full_16 : entries;
  record.u32(zip_end_signature).u16(0).u16(0).u16(count).u16(count);
  record.u32(clipped(size, zip64)).u32(clipped(offset, zip64)).u16(0);
  return record.bytes();
}

/// Deflates pieces into a file, from `offset` on.
class Deflater {
 public:
  Deflater(StagedFile& file, std::uint64_t offset) : file_(file), start_(offset), end_(offset) {
    if (deflateInit2(&z_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw Error(Status::memory, "no memory to compress an array");
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater() { deflateEnd(&z_); }

  void write(std::span<const std::byte> bytes) {
    constexpr std::size_t most = std::size_t{1} << 30U;
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), most)))
      run(bytes.first(std::min(bytes.size(), most)), Z_NO_FLUSH);
  }
  /// Returns the compressed size.
  std::uint64_t finish() {
    run({}, Z_FINISH);
    return end_ - start_;
  }

 private:
  void run(std::span<const std::byte> bytes, int flush) {
    z_.next_in = reinterpret_cast<const Bytef*>(bytes.data());
    z_.avail_in = static_cast<uInt>(bytes.size());
    do {
      z_.next_out = reinterpret_cast<Bytef*>(block_.data());
      z_.avail_out = static_cast<uInt>(block_.size());
      (void)deflate(&z_, flush);  // cannot fail with a good stream and room for output
      const std::size_t made = block_.size() - z_.avail_out;
      file_.write_at(end_, std::span<const std::byte>(block_).first(made));
      end_ += made;
    } while (z_.avail_out == 0);
  }

  StagedFile& file_;
  std::uint64_t start_;
  std::uint64_t end_;
  z_stream z_{};
  std::vector<std::byte> block_ = std::vector<std::byte>(std::size_t{1} << 17U);
};

class NpzBuilder final : public FileBuilder {
 public:
  NpzBuilder(StagedFile& file, std::string scratch_folder, bool force_zip64)
      : file_(file), scratch_folder_(std::move(scratch_folder)), force_zip64_(force_zip64) {}

  std::byte* add(const std::string& name, DType type, const Shape& shape, bool deflate) override {
    Member member;
    member.name = name.ends_with(".npy") ? name : name + ".npy";
    if (name.empty() || member.name.size() > 1024)
      throw Error(Status::usage, fmt::format("'{}' cannot be the name of an array in an NPZ file", name));
    if (std::ranges::any_of(members_, [&](const Member& other) { return other.name == member.name; }))
      throw Error(Status::usage, fmt::format("two arrays named '{}' go to one NPZ file", name));
    member.header = npy_header(type, shape);
    const std::size_t item = item_size(type);
    member.data_size = element_count(shape, item) * item;
    // Deflate makes incompressible data a little larger.
    const std::uint64_t largest = member.size() + (deflate ? member.size() / 1000 + 1024 : 0);
    member.zip64 = force_zip64_ || largest >= zip_full_32;
    if (deflate) {
      member.method = zip_method_deflated;
      member.scratch = std::make_unique<StagedFile>(scratch_folder_, member.data_size, "a temporary file");
      member.scratch->resize(member.data_size);
      member.data = member.scratch->map(0, member.data_size);
    } else {
      member.compressed_size = member.size();
      member.offset = file_.size();
      const std::uint64_t start = member.offset + local_header(member).size();
      file_.resize(start + member.size());
      file_.write_at(start, member.header);
      member.data = file_.map(start + member.header.size(), member.data_size);
    }
    members_.push_back(std::move(member));
    return members_.back().data;
  }

  void complete() override {
    for (Member& member : members_) {
      const std::span<const std::byte> data(member.data, member.data_size);
      member.crc = crc32_of(data, crc32_of(std::as_bytes(std::span(member.header))));
      if (member.method == zip_method_deflated) write_deflated(member, data);
      file_.write_at(member.offset, local_header(member));
    }
    std::string directory;
    for (const Member& member : members_) directory += directory_entry(member);
    const std::uint64_t offset = file_.size();
    file_.write_at(offset, directory + archive_end(members_.size(), offset, directory.size(), force_zip64_));
  }

 private:
  void write_deflated(Member& member, std::span<const std::byte> data) {
    member.offset = file_.size();
    Deflater deflater(file_, member.offset + local_header(member).size());
    deflater.write(std::as_bytes(std::span(member.header)));
    deflater.write(data);
    member.compressed_size = deflater.finish();
    member.scratch.reset();
  }

  StagedFile& file_;
  std::string scratch_folder_;
  bool force_zip64_;
  std::vector<Member> members_;
};

}  // namespace

std::unique_ptr<FileBuilder> make_npz_builder(StagedFile& file, const std::string& scratch_folder, bool force_zip64) {
  return std::make_unique<NpzBuilder>(file, scratch_folder, force_zip64);
}

}  // namespace attn
