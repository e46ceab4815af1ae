// What `attn convert` does to an array: a fixed sequence of choices and changes.
#pragma once

#include "analysis/numbers.hpp"

#include <attn/io.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace attn::analysis {

/// Steps are taken in the order of the members; what is not asked for is left out.
struct Conversion {
  std::string columns = {};  ///< as behind a file name: numbers from 1, ranges, lists
  std::string rows = {};     ///< numbers from 0, ranges, lists
  bool one_hot = false;      ///< class ids become rows of 0 and 1
  std::optional<std::size_t> classes = {};
  std::vector<std::int64_t> reshape = {};
  std::size_t split_heads = 0;
  bool merge_heads = false;
  bool transpose = false;
  std::optional<RowNorm> normalize_rows = {};
  std::optional<DType> dtype = {};
  bool lossy = false;
};

struct Converted {
  Array array;
  std::vector<std::string> columns;  ///< the input's column names where its columns are still the output's
};

/// Throws Error(data) or Error(usage) as the steps do, with the input's name; announces rows of zeros that could not be
/// normalized and numbers that became infinite.
[[nodiscard]] Converted convert(const Loaded& input, const Conversion& steps, Reporter& reporter);

}  // namespace attn::analysis
