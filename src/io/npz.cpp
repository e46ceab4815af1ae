// Reading NPZ archives: stored arrays in place, deflated ones unpacked into memory of the right size.
#include "io/npz.hpp"

#include "io/array_names.hpp"
#include "io/elements.hpp"
#include "io/npy.hpp"
#include "io/zip.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::string_view suffix = ".npy";

/// The arrays among the entries and the names users know them by.
struct Members {
  std::vector<const ZipEntry*> entries;
  std::vector<std::string> names;
};

Members members_of(const ZipArchive& archive) {
  Members members;
  for (const ZipEntry& entry : archive.entries()) {
    if (!entry.name.ends_with(suffix)) continue;
    members.entries.push_back(&entry);
    members.names.push_back(entry.name.substr(0, entry.name.size() - suffix.size()));
  }
  return members;
}

[[noreturn]] void throw_crc(const std::string& label) {
  throw Error(Status::data, {label}, "the checksum of the entry is wrong: its data are damaged");
}

/// Unpacks the beginning of a deflated NPY file, as far as its header goes.
std::vector<std::byte> inflate_header(Inflater& inflater, const std::string& label) {
  std::vector<std::byte> header(npy_preamble);
  header.resize(inflater.read(header));
  const std::size_t size = npy_data_offset(header, label);
  const std::size_t present = header.size();
  // A preamble of 10 bytes and an empty dictionary would be shorter than what was read; no such file is valid.
  if (size < present) throw Error(Status::data, {label}, "the NPY header is empty");
  header.resize(size);
  header.resize(present + inflater.read(std::span(header).subspan(present)));
  return header;
}

Array inflate_array(const ZipEntry& entry, std::span<const std::byte> raw, const std::string& label) {
  // No deflate stream expands further than this, so that a small archive cannot ask for much memory.
  constexpr std::uint64_t largest_ratio = 1032;
  if (entry.size / largest_ratio > entry.compressed_size)
    throw Error(
        Status::data, {label},
        fmt::format("the entry says that {} compressed bytes hold {}, more than deflate can", entry.compressed_size, entry.size));
  Inflater inflater(raw, label);
  const NpyHeader header = parse_npy_header(inflate_header(inflater, label), label);
  const std::size_t expected = npy_data_bytes(header, label);
  const std::uint64_t announced = entry.size - std::min<std::uint64_t>(entry.size, header.data_offset);
  if (announced != expected)
    throw Error(Status::data, {label},
                fmt::format("{} elements of {} take {} bytes, but the entry has {}", to_string(header.shape),
                            dtype_name(*header.type), expected, announced));
  Array storage(DType::u8, {expected});
  const std::size_t found = inflater.read({storage.mutable_data(), expected});
  if (found < expected)
    throw Error(Status::data, {label}, fmt::format("the entry is cut short: {} bytes expected, found {}", expected, found));
  std::array<std::byte, 1> more{};
  if (inflater.read(more) != 0) throw Error(Status::data, {label}, "the entry unpacks to more bytes than it says");
  if (inflater.crc() != entry.crc) throw_crc(label);
  const auto owner = std::make_shared<Array>(std::move(storage));
  return arrange_elements({*header.type, header.shape, header.big_endian, header.column_major}, owner, {owner->data(), expected});
}

ArrayEntry describe_member(const ZipArchive& archive, const ZipEntry& entry, const std::string& label) {
  ArrayEntry result;
  result.storage = entry.method == zip_method_stored ? "stored" : "deflated";
  try {
    const std::span<const std::byte> raw = archive.raw_bytes(entry);
    const NpyHeader header = [&] {
      if (entry.method == zip_method_stored) return parse_npy_header(raw, label);
      Inflater inflater(raw, label);
      return parse_npy_header(inflate_header(inflater, label), label);
    }();
    std::string storage = std::move(result.storage);
    result = describe_npy(header);
    result.storage = std::move(storage);
  } catch (const Error& error) {
    // One bad array does not hide the others.
    if (error.status() != Status::data) throw;
    result.refusal = error.what();
    result.type_name = "unknown";
  }
  return result;
}

}  // namespace

Array parse_npz(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& label,
                std::string_view name) {
  const ZipArchive archive(bytes, label);
  const Members members = members_of(archive);
  // "Q.npy" is found as "Q", unless there is a "Q.npy.npy".
  const bool with_suffix = name.ends_with(suffix) && std::ranges::find(members.names, name) == members.names.end();
  const std::size_t index = choose_array(members.names, with_suffix ? name.substr(0, name.size() - suffix.size()) : name, label);
  const ZipEntry& entry = *members.entries[index];
  const std::string where = location_of(label, members.names[index]).file;
  const std::span<const std::byte> raw = archive.raw_bytes(entry);
  if (entry.method == zip_method_deflated) return inflate_array(entry, raw, where);
  Array array = parse_npy(raw, std::move(owner), where, Trailing::refused);
  if (crc32_of(raw) != entry.crc) throw_crc(where);
  return array;
}

std::vector<ArrayEntry> list_npz(std::span<const std::byte> bytes, const std::string& label) {
  const ZipArchive archive(bytes, label);
  const Members members = members_of(archive);
  std::vector<ArrayEntry> result;
  for (std::size_t i = 0; i < members.entries.size(); ++i) {
    ArrayEntry entry = describe_member(archive, *members.entries[i], location_of(label, members.names[i]).file);
    entry.name = members.names[i];
    result.push_back(std::move(entry));
  }
  return result;
}

}  // namespace attn
