// NPZ: NPY arrays as entries of a ZIP archive.
#pragma once

#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// The array `name` (with or without ".npy"; empty takes the only one) of an NPZ archive in memory. Stored arrays may be views of
/// `bytes`, which `owner` keeps alive; deflated ones are unpacked, with memory that their compressed size justifies. Checksums
/// are verified. Throws Error(data) when there is no such array, several without a name, or damaged data. Safe on any bytes.
[[nodiscard]] Array parse_npz(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& label,
                              std::string_view name);

/// The arrays of the archive, without reading their elements.
[[nodiscard]] std::vector<ArrayEntry> list_npz(std::span<const std::byte> bytes, const std::string& label);

}  // namespace attn
