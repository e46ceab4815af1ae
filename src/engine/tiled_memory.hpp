// How much memory a walk of the tiled engine takes, besides its inputs and what observers keep.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"

#include <cstddef>
#include <cstdint>

namespace attn::engine {

/// Which rows a thread copies to its own memory before it reads them: those that must be made, and those that lie apart.
struct CopiedRows {
  bool keys = false;
  bool values = false;
};

/// Bytes that run_tiled<T>() takes at most: the map of the masks, and what its threads and their blocks of queries work in. T is
/// float or double.
template <class T>
[[nodiscard]] std::uint64_t tiled_bytes(const Plan& plan, const CopiedRows& copied, const Needs& needs, std::size_t threads);

}  // namespace attn::engine
