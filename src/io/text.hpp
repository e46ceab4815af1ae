// Text files before anything is known of their columns: encodings, foreign formats, lines, and cells as messages show them.
#pragma once

#include <attn/io.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace attn {

/// A place in a file or standard input, for messages. Lines and cells count from 1; 0 means none.
[[nodiscard]] Location place_in(const FileName& name, std::size_t line = 0, std::size_t column = 0);

/// `text` without a UTF-8 byte order mark. Throws Error(data) when the bytes are no text that attn reads: UTF-16 or UTF-32 (the
/// hint is the iconv command), a compressed file, a picture, a web page, NPY, safetensors and the like, each by its name.
[[nodiscard]] std::string_view plain_text(std::string_view text, const FileName& name);

/// Throws Error(data) for a JSON object, which is text but no table.
void refuse_json(std::string_view text, const FileName& name);

/// A cell as messages show it: in double quotes, on one line, shortened, bytes that are not printable UTF-8 as \xHH.
[[nodiscard]] std::string excerpt(std::string_view cell);

/// `text` without blanks and tabs at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

/// Walks over lines that end in LF, CR LF or CR, in any mixture. The whole walk looks at each byte at most twice.
class LineWalker {
 public:
  LineWalker(const char* begin, const char* end) noexcept : end_(end), next_feed_(begin), next_return_(begin) {}

  /// The end of the line that `from` lies in, without its terminator. `from` must not go backwards.
  [[nodiscard]] const char* line_end(const char* from) noexcept {
    if (!feed_known_ || next_feed_ < from) {
      next_feed_ = find(from, '\n');
      feed_known_ = true;
    }
    if (!return_known_ || next_return_ < from) {
      next_return_ = find(from, '\r');
      return_known_ = true;
    }
    return next_feed_ < next_return_ ? next_feed_ : next_return_;
  }

  /// Behind the terminator that stands at `line_end`.
  [[nodiscard]] const char* next_line(const char* line_end) const noexcept {
    if (line_end == end_) return end_;
    if (*line_end == '\r' && line_end + 1 != end_ && line_end[1] == '\n') return line_end + 2;
    return line_end + 1;
  }

 private:
  [[nodiscard]] const char* find(const char* from, char what) const noexcept;

  const char* end_;
  const char* next_feed_;
  const char* next_return_;
  bool feed_known_ = false;
  bool return_known_ = false;
};

}  // namespace attn
