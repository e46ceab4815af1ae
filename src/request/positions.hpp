// Reading where queries stand and how many keys there are: numbers on the command line, or in a file.
#pragma once

#include "request/run_request.hpp"

#include <cstdint>
#include <vector>

namespace attn::request {

/// --key-lengths: none, one for all batch entries, or one for each. Throws Error(data) for entries that are no integers.
[[nodiscard]] std::vector<std::int64_t> read_key_lengths(const RunRequest& request, Reporter& reporter);

/// --query-offset: N, a list, a file, or "end". Throws Error(data) for entries that are no integers.
[[nodiscard]] QueryOffset read_query_offset(const RunRequest& request, Reporter& reporter);

}  // namespace attn::request
