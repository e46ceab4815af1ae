// Reading ZIP archives in memory, as far as NPZ files use them: stored and deflated entries, ZIP64. After APPNOTE 6.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// The signatures of the records, little-endian, and the numbers that say "look into the ZIP64 field".
inline constexpr std::uint32_t zip_local_signature = 0x04034B50;
inline constexpr std::uint32_t zip_central_signature = 0x02014B50;
inline constexpr std::uint32_t zip_end_signature = 0x06054B50;
inline constexpr std::uint32_t zip64_end_signature = 0x06064B50;
inline constexpr std::uint32_t zip64_locator_signature = 0x07064B50;
inline constexpr std::uint16_t zip64_extra_id = 0x0001;
inline constexpr std::uint32_t zip_full_32 = 0xFFFFFFFF;
inline constexpr std::uint16_t zip_full_16 = 0xFFFF;
inline constexpr std::uint16_t zip_method_stored = 0;
inline constexpr std::uint16_t zip_method_deflated = 8;

struct ZipEntry {
  std::string name;
  std::uint16_t method = zip_method_stored;
  bool encrypted = false;
  std::uint32_t crc = 0;
  std::uint64_t compressed_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header_offset = 0;
};

class ZipArchive {
 public:
  /// Reads the directory. Throws Error(data), located at `label`, when it is damaged, when entries overlap or share a name.
  ZipArchive(std::span<const std::byte> bytes, std::string label);

  [[nodiscard]] const std::vector<ZipEntry>& entries() const noexcept { return entries_; }
  /// The bytes of an entry as they lie in the archive, compressed or not. Throws Error(data) when the entry is encrypted,
  /// compressed in another way than deflate, or does not agree with the directory.
  [[nodiscard]] std::span<const std::byte> raw_bytes(const ZipEntry& entry) const;

 private:
  std::span<const std::byte> bytes_;
  std::string label_;
  std::uint64_t directory_offset_ = 0;
  std::vector<ZipEntry> entries_;
};

/// Unpacks the deflated bytes of one entry piece by piece, and keeps their CRC-32.
class Inflater {
 public:
  /// `label` is the location in messages.
  Inflater(std::span<const std::byte> compressed, std::string label);
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  /// Fills `to` as far as there are bytes; returns how many there were. Throws Error(data) when the data are damaged.
  std::size_t read(std::span<std::byte> to);
  [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  std::span<const std::byte> rest_;
  std::string label_;
  std::uint32_t crc_ = 0;
  bool ended_ = false;
};

/// The CRC-32 of `bytes` behind others whose CRC-32 is `before`.
[[nodiscard]] std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace attn
