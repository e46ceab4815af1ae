// How checkpoints name their parameters: one table of naming schemes, each a list of names with their roles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn::model {

/// What a tensor is for. A joined tensor holds query, key and value side by side along its output features.
enum class Role : std::uint8_t {
  query_weight,
  key_weight,
  value_weight,
  output_weight,
  joined_weight,
  query_bias,
  key_bias,
  value_bias,
  output_bias,
  joined_bias,
  query_norm,
  key_norm,
  extra_key,  ///< a learned key or value row put behind the others
};

/// Which axis of a weight comes first: y = x W with W [in, out], or y = x W^T with W [out, in].
enum class Orientation : std::uint8_t { in_out, out_in };

enum class Presence : std::uint8_t {
  required,
  optional,
  refused,  ///< known, and not supported: a set that holds it is an error instead of a wrong result
};

inline constexpr Presence kOptional = Presence::optional;
inline constexpr Presence kRefused = Presence::refused;

struct NameRow {
  Role role;
  std::string_view name;  ///< what stands behind the prefix
  Presence presence = Presence::required;
};

/// One convention. Its rows are what a set under a prefix may hold; more roles are more rows.
struct NamingScheme {
  std::string_view name;  ///< as reports show it: "BERT"
  Orientation orientation = Orientation::out_in;
  /// The models that name their tensors so have all biases or none, so that one that lacks is a damaged file.
  bool biases_go_together = false;
  std::span<const NameRow> rows;
};

[[nodiscard]] constexpr bool is_weight(Role role) noexcept {
  return role == Role::query_weight || role == Role::key_weight || role == Role::value_weight || role == Role::output_weight ||
         role == Role::joined_weight;
}

[[nodiscard]] constexpr bool is_bias(Role role) noexcept {
  return role == Role::query_bias || role == Role::key_bias || role == Role::value_bias || role == Role::output_bias ||
         role == Role::joined_bias;
}

/// The schemes of one attention, in the order of messages.
[[nodiscard]] std::span<const NamingScheme> attention_schemes() noexcept;

/// The names of one scheme that exist under one prefix.
struct SchemeMatch {
  const NamingScheme* scheme = nullptr;
  std::vector<const NameRow*> found;
  std::vector<const NameRow*> missing;  ///< required ones, and biases whose companions are there

  [[nodiscard]] bool complete() const noexcept { return !found.empty() && missing.empty(); }
  [[nodiscard]] const NameRow* row(Role role) const noexcept;
};

/// `exists(name)` says whether the file holds `prefix` + name.
template <class Exists>
[[nodiscard]] SchemeMatch match_scheme(const NamingScheme& scheme, const Exists& exists) {
  SchemeMatch match{.scheme = &scheme, .found = {}, .missing = {}};
  bool has_bias = false;
  std::vector<const NameRow*> absent_biases;
  for (const NameRow& row : scheme.rows) {
    if (exists(row.name)) {
      match.found.push_back(&row);
      has_bias = has_bias || is_bias(row.role);
    } else if (row.presence == Presence::required) {
      match.missing.push_back(&row);
    } else if (is_bias(row.role)) {
      absent_biases.push_back(&row);
    }
  }
  if (has_bias && scheme.biases_go_together)
    match.missing.insert(match.missing.end(), absent_biases.begin(), absent_biases.end());
  return match;
}

}  // namespace attn::model
