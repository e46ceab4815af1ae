// Files described for people and programs: the arrays in them and what they hold.
#pragma once

#include "analysis/attention_layers.hpp"
#include "analysis/describe.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace attn::analysis {

/// One array of a file.
struct ArrayReport {
  std::string file;  ///< as the user wrote it, without a selector that named the array
  ArrayEntry entry;
  std::size_t bytes = 0;                   ///< of its elements; 0 for types that are not read
  std::optional<Description> description;  ///< of the elements, where they were asked for
  std::vector<std::string> notes;          ///< how the file was read: separator, header
};

/// The arrays of a file, or of all the files that a checkpoint's *.index.json names. The elements of a single array are
/// described; of several only with `all`. Throws as reading does.
[[nodiscard]] std::vector<ArrayReport> inspect(const FileName& name, const ReadOptions& options, bool all, Reporter& reporter);

/// For people: paragraphs for arrays with a description, a table for the others.
[[nodiscard]] std::string inspect_text(const std::vector<ArrayReport>& reports);
/// An array of objects: one for each array, then one for each file with attention layers, which has "attention_layers". Numbers
/// that JSON does not have are the strings "nan", "inf", "-inf".
[[nodiscard]] std::string inspect_json(const std::vector<ArrayReport>& reports, const std::vector<LayersReport>& layers);
/// A header and one row for each array; shapes as 2x3.
[[nodiscard]] std::string inspect_csv(const std::vector<ArrayReport>& reports);

}  // namespace attn::analysis
