// The directory of a ZIP archive, read without trusting it.
#include "io/zip.hpp"

#include "io/array_names.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::size_t local_size = 30;
constexpr std::size_t central_size = 46;
constexpr std::size_t end_size = 22;
constexpr std::size_t locator_size = 20;
constexpr std::size_t zip64_end_size = 56;

/// Little-endian numbers in a span, with every read checked.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, const std::string& label) : bytes_(bytes), label_(label) {}

  [[nodiscard]] std::uint64_t number(std::uint64_t offset, std::size_t size) const {
    require(offset, size);
    std::uint64_t value = 0;
    for (std::size_t i = size; i > 0; --i) value = value << 8U | std::to_integer<std::uint64_t>(bytes_[offset + i - 1]);
    return value;
  }
  [[nodiscard]] std::uint16_t u16(std::uint64_t offset) const { return static_cast<std::uint16_t>(number(offset, 2)); }
  [[nodiscard]] std::uint32_t u32(std::uint64_t offset) const { return static_cast<std::uint32_t>(number(offset, 4)); }
  [[nodiscard]] std::uint64_t u64(std::uint64_t offset) const { return number(offset, 8); }
  [[nodiscard]] std::string_view text(std::uint64_t offset, std::size_t size) const {
    require(offset, size);
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, size};
  }
  [[nodiscard]] std::uint64_t size() const noexcept { return bytes_.size(); }
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(Status::data, {label_}, fmt::format("the ZIP archive is damaged: {}", what));
  }

 private:
  void require(std::uint64_t offset, std::size_t size) const {
    if (offset > bytes_.size() || bytes_.size() - offset < size) fail("a record reaches beyond the end of the file");
  }
  std::span<const std::byte> bytes_;
  const std::string& label_;
};

/// Where the directory is and how many entries it has.
struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t entries = 0;
  std::uint64_t end = 0;  ///< where the records behind it begin
};

/// The end record is the last one whose comment reaches exactly to the end of the file.
std::uint64_t find_end(const Fields& file) {
  if (file.size() >= end_size) {
    const std::uint64_t longest = end_size + zip_full_16;
    const std::uint64_t first = file.size() > longest ? file.size() - longest : 0;
    for (std::uint64_t at = file.size() - end_size + 1; at > first; --at)
      if (file.u32(at - 1) == zip_end_signature && file.u16(at - 1 + 20) == file.size() - (at - 1) - end_size) return at - 1;
  }
  file.fail("its directory is missing (is the file cut short?)");
}

Directory find_directory(const Fields& file) {
  const std::uint64_t end = find_end(file);
  Directory result{file.u32(end + 16), file.u32(end + 12), file.u16(end + 10), end};
  if (end >= locator_size && file.u32(end - locator_size) == zip64_locator_signature) {
    const std::uint64_t record = file.u64(end - locator_size + 8);
    if (record > end - locator_size || end - locator_size - record < zip64_end_size || file.u32(record) != zip64_end_signature)
      file.fail("its ZIP64 record is not where it should be");
    result = {file.u64(record + 48), file.u64(record + 40), file.u64(record + 32), record};
  } else if (file.u16(end + 4) != 0 || file.u16(end + 8) != file.u16(end + 10)) {
    file.fail("it is one part of several, which attn does not read");
  }
  if (result.offset > result.end || result.size > result.end - result.offset) file.fail("its directory lies outside the file");
  if (result.entries > result.size / central_size) file.fail("its directory is too short for the number of its entries");
  return result;
}

/// Replaces the fields that are full by those of the ZIP64 extra field.
void read_zip64(const Fields& file, std::uint64_t extra, std::size_t extra_size, ZipEntry& entry) {
  const std::uint64_t end = extra + extra_size;
  for (std::uint64_t at = extra; end - at >= 4;) {
    const std::uint16_t id = file.u16(at);
    const std::uint16_t size = file.u16(at + 2);
    at += 4;
    if (end - at < size) return;  // other programs pad this area with anything
    if (id == zip64_extra_id) {
      std::uint64_t next = at;
      for (std::uint64_t* field : {&entry.size, &entry.compressed_size, &entry.header_offset}) {
        if (*field != zip_full_32) continue;
        if (at + size - next < 8) file.fail("a ZIP64 field is too short");
        *field = file.u64(next);
        next += 8;
      }
      return;
    }
    at += size;
  }
}

std::uint64_t span_of(const ZipEntry& entry) { return local_size + entry.name.size() + entry.compressed_size; }

void refuse_overlaps(const Fields& file, const std::vector<ZipEntry>& entries, std::uint64_t directory) {
  std::vector<const ZipEntry*> order;
  order.reserve(entries.size());
  for (const ZipEntry& entry : entries) order.push_back(&entry);
  std::ranges::sort(order, {}, [](const ZipEntry* entry) { return entry->header_offset; });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint64_t limit = i + 1 < order.size() ? order[i + 1]->header_offset : directory;
    const ZipEntry& entry = *order[i];
    if (entry.header_offset > limit || entry.compressed_size > limit || limit - entry.header_offset < span_of(entry))
      file.fail(fmt::format("the entry '{}' overlaps what follows it", shown_name(entry.name)));
  }
}

void refuse_duplicates(const std::vector<ZipEntry>& entries, const std::string& label) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const ZipEntry& entry : entries) names.emplace_back(entry.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end())
    throw Error(Status::data, {label}, fmt::format("the archive has two entries named '{}'", shown_name(*twice)));
}

std::string method_name(std::uint16_t method) {
  switch (method) {
    case 9:
      return "deflate64";
    case 12:
      return "bzip2";
    case 14:
      return "LZMA";
    case 93:
      return "zstd";
    case 95:
      return "xz";
    default:
      return fmt::format("method {}", method);
  }
}

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> bytes, std::string label) : bytes_(bytes), label_(std::move(label)) {
  const Fields file(bytes_, label_);
  const Directory directory = find_directory(file);
  directory_offset_ = directory.offset;
  entries_.reserve(static_cast<std::size_t>(directory.entries));
  std::uint64_t at = directory.offset;
  const std::uint64_t end = directory.offset + directory.size;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    if (end - at < central_size || file.u32(at) != zip_central_signature) file.fail("its directory has a wrong entry");
    ZipEntry entry;
    entry.encrypted = (file.u16(at + 8) & 1U) != 0;
    entry.method = file.u16(at + 10);
    entry.crc = file.u32(at + 16);
    entry.compressed_size = file.u32(at + 20);
    entry.size = file.u32(at + 24);
    entry.header_offset = file.u32(at + 42);
    const std::size_t name_size = file.u16(at + 28);
    const std::size_t extra_size = file.u16(at + 30);
    const std::uint64_t length = central_size + name_size + extra_size + file.u16(at + 32);
    if (end - at < length) file.fail("its directory has a wrong entry");
    entry.name = file.text(at + central_size, name_size);
    read_zip64(file, at + central_size + name_size, extra_size, entry);
    entries_.push_back(std::move(entry));
    at += length;
  }
  refuse_duplicates(entries_, label_);
  refuse_overlaps(file, entries_, directory_offset_);
}

std::span<const std::byte> ZipArchive::raw_bytes(const ZipEntry& entry) const {
  const Location where = location_of(label_, entry.name);
  if (entry.encrypted) throw Error(Status::data, where, "the entry is encrypted (expected stored or deflated data)");
  if (entry.method != zip_method_stored && entry.method != zip_method_deflated)
    throw Error(Status::data, where,
                fmt::format("the entry is compressed with {} (expected stored or deflated data)", method_name(entry.method)));
  const Fields file(bytes_, label_);
  const std::uint64_t at = entry.header_offset;
  if (file.u32(at) != zip_local_signature)
    file.fail(fmt::format("the entry '{}' is not where the directory says", shown_name(entry.name)));
  if (file.text(at + local_size, file.u16(at + 26)) != entry.name)
    file.fail(fmt::format("the entry '{}' has another name than the directory says", shown_name(entry.name)));
  const std::uint64_t data = at + local_size + file.u16(at + 26) + file.u16(at + 28);
  if (data > directory_offset_ || directory_offset_ - data < entry.compressed_size)
    file.fail(fmt::format("the entry '{}' reaches into the directory", shown_name(entry.name)));
  if (entry.method == zip_method_stored && entry.compressed_size != entry.size)
    file.fail(fmt::format("the entry '{}' is stored with two different sizes", shown_name(entry.name)));
  return bytes_.subspan(static_cast<std::size_t>(data), static_cast<std::size_t>(entry.compressed_size));
}

}  // namespace attn
