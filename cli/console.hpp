// Standard output and standard error: data on the one, messages on the other, colour only for people.
#pragma once

#include "render/terminal.hpp"

#include <attn/error.hpp>

#include <string>
#include <string_view>

namespace attn::cli {

class Console : public Reporter {
 public:
  /// Looks at the terminal and at NO_COLOR once.
  Console();

  void configure(bool quiet, bool verbose) noexcept {
    quiet_ = quiet;
    verbose_ = verbose;
  }
  [[nodiscard]] bool quiet() const noexcept { return quiet_; }
  [[nodiscard]] bool verbose() const noexcept { return verbose_; }
  /// Standard error is a terminal that may be coloured and redrawn.
  [[nodiscard]] bool interactive() const noexcept { return interactive_ && !quiet_; }
  /// Standard output is a terminal; its width in columns, or 80.
  [[nodiscard]] bool output_is_terminal() const noexcept { return output_is_terminal_; }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }
  /// Standard output's window, or 80 columns and 24 lines, and the colours that the environment speaks of: none with NO_COLOR,
  /// all of them with COLORTERM=truecolor or 24bit, else what TERM's name promises.
  [[nodiscard]] render::Terminal window() const noexcept {
    return {.columns = width_, .lines = lines_, .depth = depth_, .unicode = unicode_};
  }
  /// The locale's characters are UTF-8.
  [[nodiscard]] bool unicode() const noexcept { return unicode_; }

  /// Text on standard output. Throws Error(io) when it cannot be written.
  void print(std::string_view text);
  void warn(const std::string& message) override;
  void note(const std::string& message) override;
  /// "attn: error: FILE:LINE:COLUMN: what (what was expected)" and the hint on lines of its own.
  void error(const Error& error);
  void error(std::string_view message);

 private:
  void say(std::string_view kind, std::string_view colour, std::string_view message);

  bool quiet_ = false;
  bool verbose_ = false;
  bool interactive_ = false;
  bool coloured_ = false;
  bool output_is_terminal_ = false;
  std::size_t width_ = 80;
  std::size_t lines_ = 24;
  render::Depth depth_ = render::Depth::characters;
  bool unicode_ = false;
};

}  // namespace attn::cli
