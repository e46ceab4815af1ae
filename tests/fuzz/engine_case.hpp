// A small attention drawn from bytes: sizes, arrays and any combination of options, for the engines to agree on.
#pragma once

#include "engine/inputs.hpp"

#include <attn/options.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace attn::fuzz {

/// Hands out choices from the input's bytes, zeros when they are used up.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  /// A number in [0, count).
  std::size_t below(std::size_t count) { return next() % count; }
  bool one_in(std::size_t count) { return below(count) == count - 1; }

  /// A float from a generator that the bytes seed: multiples of 1/32 in [-2, 2], now and then zero.
  float value();

 private:
  std::uint8_t next() { return at_ < bytes_.size() ? bytes_[at_++] : std::uint8_t{0}; }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  std::uint64_t state_ = 0x9E3779B97F4A7C15U;
};

struct EngineCase {
  engine::Inputs inputs;
  AttentionOptions options;
};

/// Some cases contradict themselves; make_plan says so.
[[nodiscard]] EngineCase draw_case(Choices& choices);

}  // namespace attn::fuzz
