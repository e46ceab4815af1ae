// A drawn attention problem with its arrays at hand, to be changed in ways that must or must not matter, and run.
#pragma once

#include "conformance/command.hpp"
#include "tools/process.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace attn::testing {

/// Numbers drawn from a seed; the same everywhere.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t next();
  std::size_t below(std::size_t count) { return next() % count; }
  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1p-53 < p; }
  template <class T>
  T pick(const std::vector<T>& options) {
    return options[below(options.size())];
  }
  /// A permutation of 0 ... count-1.
  std::vector<std::size_t> order(std::size_t count);

 private:
  std::uint64_t seed_;
  std::uint64_t index_ = 0;
};

/// An array of doubles of any rank; an empty shape is "not given".
struct Tensor {
  Shape shape = {};
  std::vector<double> values = {};

  [[nodiscard]] bool given() const { return !shape.empty(); }
  /// The entries `index` of the axis counted from the right (0 is the last). An axis of size 1 that repeats for `full` stays.
  [[nodiscard]] Tensor select(std::size_t axis_from_right, const std::vector<std::size_t>& index, std::size_t full) const;
};

/// Query, key and value are [batch, heads, length, dim].
struct Scene {
  std::string dtype = "float32";
  Tensor query, key, value;
  Tensor mask;  ///< empty or broadcasting to [batch, heads, q_len, kv_len]
  std::string mask_type = {};
  Tensor bias;
  Tensor segments, key_segments;               ///< [batch, length]
  std::vector<std::int64_t> key_lengths = {};  ///< empty or one a batch entry
  std::vector<std::int64_t> offsets = {};      ///< one a batch entry, always said
  Words others = {};                           ///< options that name no array

  [[nodiscard]] std::size_t batch() const { return query.shape[0]; }
  [[nodiscard]] std::size_t heads() const { return query.shape[1]; }
  [[nodiscard]] std::size_t kv_heads() const { return key.shape[1]; }
  [[nodiscard]] std::size_t q_len() const { return query.shape[2]; }
  [[nodiscard]] std::size_t kv_len() const { return key.shape[2]; }

  /// The same problem with the keys `index` only, in that order.
  [[nodiscard]] Scene with_keys(const std::vector<std::size_t>& index) const;
  /// One batch entry.
  [[nodiscard]] Scene entry(std::size_t b) const;
  /// Every query head with a copy of its own of key and value.
  [[nodiscard]] Scene with_own_heads() const;
  /// Writes the input files into `folder` and gives the arguments of `attn run` for them, outputs left out.
  [[nodiscard]] Words prepare(const std::filesystem::path& folder) const;
};

/// What a scene may use beyond score, scale and normalizer.
struct Allowed {
  bool positions = true;  ///< causal, window, ALiBi, RoPE
  bool masks = true;      ///< masks, biases, segments, key lengths
};

[[nodiscard]] Scene draw_scene(Dice& dice, const Allowed& allowed);

/// A run in a folder of its own: arguments, and the bytes of the outputs by name ("output", "weights", "lse", "masked").
class Run {
 public:
  /// `outputs` are names of options ("output", "weights", "lse", "scores"). Fails the test when the program fails.
  Run(const Scene& scene, const std::vector<std::string>& outputs, const Words& more = {});

  [[nodiscard]] const std::string& bytes(const std::string& name) const { return bytes_.at(name); }
  [[nodiscard]] const Array& array(const std::string& name) const { return arrays_.at(name); }
  [[nodiscard]] const std::string& messages() const { return messages_; }

 private:
  std::map<std::string, std::string> bytes_;
  std::map<std::string, Array> arrays_;
  std::string messages_;
};

/// Checks that two runs gave the same bytes of these outputs; `what` says what was asked differently.
void check_same(const Run& one, const Run& other, const std::vector<std::string>& names, const std::string& what = "both");

/// The bytes of row (b, h, i) of a [batch, heads, rows, ...] array.
[[nodiscard]] std::string row_bytes(const Array& array, std::size_t b, std::size_t h, std::size_t i);

/// How often a property is tried: `count`, and a part of it under AddressSanitizer.
[[nodiscard]] constexpr std::uint64_t tries(std::uint64_t count) { return is_sanitized ? (count + 3) / 4 : count; }

}  // namespace attn::testing
