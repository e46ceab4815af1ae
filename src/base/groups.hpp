// Things taken in groups of equal size, of which the last may be short: how many groups there are, and what they would hold if
// full.
#pragma once

#include <concepts>
#include <type_traits>

namespace attn {

/// count / group, rounded up. `group` is above 0.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T groups_of(T count, std::type_identity_t<T> group) noexcept {
  return count / group + (count % group == 0 ? 0 : 1);
}

/// The least multiple of `group` that is not below `count`.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T whole_groups(T count, std::type_identity_t<T> group) noexcept {
  return groups_of(count, group) * group;
}

}  // namespace attn
