// What the entries of a mask file mean: decided where the file says it, refused where it could mean two things.
#pragma once

#include "engine/inputs.hpp"
#include "request/run_request.hpp"

#include <attn/io.hpp>

#include <optional>

namespace attn::request {

/// Bool arrays keep by default and float arrays of binary files add; CSV masks, integer masks and float masks of 0 and 1 only
/// must say it (Error(usage)). Entries of an additive mask at or below `treat_below` become -inf. Throws Error(data) when keep or
/// block is asked of entries other than 0 and 1.
[[nodiscard]] engine::NamedMask understand_mask(const Loaded& mask, MaskType type, std::optional<double> treat_below,
                                                Reporter& reporter);

/// A bias is an additive mask.
[[nodiscard]] engine::NamedMask understand_bias(const Loaded& bias, std::optional<double> treat_below, Reporter& reporter);

}  // namespace attn::request
