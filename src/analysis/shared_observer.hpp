// Observers that tell those of another process what they have learned of the rows or columns that were theirs.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"

#include <attn/error.hpp>

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace attn::analysis {

/// Rows (queries) or columns (keys) [begin, end) of neighbouring heads of one batch entry.
struct Lines {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t heads = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// What is told is of columns where needs().columns, else of rows, and complete: one process has walked over all of them.
template <class T>
class SharedObserver : public engine::Observer<T> {
 public:
  [[nodiscard]] virtual std::string told(const Lines& lines) const = 0;
  /// Takes the place of what this observer knows of them. Throws Error(defect) for bytes that told() has not made.
  virtual void learn(const Lines& lines, std::string_view bytes) = 0;
};

/// told() and learn() of observers that keep an element for each line, [batch, heads, length] of them.
template <class V>
[[nodiscard]] std::string bytes_of(const Lines& lines, const std::vector<V>& all, std::size_t heads, std::size_t length) {
  std::string bytes;
  for (std::size_t head = lines.head; head < lines.head + lines.heads; ++head)
    bytes.append(reinterpret_cast<const char*>(all.data() + (lines.batch * heads + head) * length + lines.begin),  // NOLINT
                 (lines.end - lines.begin) * sizeof(V));
  return bytes;
}
template <class V>
void take_bytes(const Lines& lines, std::string_view bytes, std::vector<V>& all, std::size_t heads, std::size_t length) {
  const std::size_t size = (lines.end - lines.begin) * sizeof(V);
  if (bytes.size() != size * lines.heads) throw Error(Status::defect, "a rank has sent lines that are cut off");
  for (std::size_t n = 0; size > 0 && n < lines.heads; ++n)
    std::memcpy(all.data() + (lines.batch * heads + lines.head + n) * length + lines.begin, bytes.data() + n * size, size);
}

}  // namespace attn::analysis
