// Standard output and standard error.
#include "cli/console.hpp"

#include "io/descriptor.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace attn::cli {

namespace {

/// Writes all of `text` to the file descriptor; false when that fails.
bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// File names and cells may hold anything; what a terminal would obey is shown as an escape.
std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    const bool control = (code < 0x20 && c != '\n') || code == 0x7F;
    if (control) {
      shown += fmt::format("\\x{:02x}", code);
    } else {
      shown += c;
    }
  }
  return shown;
}

/// Asks the variables that decide the locale, the strongest first.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view locale(value);
    return locale.find("UTF-8") != std::string_view::npos || locale.find("utf8") != std::string_view::npos;
  }
  return false;
}

/// "xterm-256color", "tmux", ..: what terminals that call themselves so have shown for twenty years.
render::Depth depth_of(const char* no_color, const char* colorterm, const char* term) {
  if (no_color != nullptr && *no_color != '\0') return render::Depth::characters;
  const std::string_view name = term == nullptr ? "" : term;
  if (name.empty() || name == "dumb") return render::Depth::characters;
  const std::string_view colours = colorterm == nullptr ? "" : colorterm;
  if (colours == "truecolor" || colours == "24bit" || name.ends_with("-direct")) return render::Depth::full;
  if (name.find("256color") != std::string_view::npos) return render::Depth::palette;
  for (const std::string_view known : {"xterm", "tmux", "screen", "rxvt", "alacritty", "foot", "kitty", "konsole", "vte"})
    if (name.starts_with(known)) return render::Depth::palette;
  return render::Depth::characters;
}

}  // namespace

Console::Console() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  interactive_ = ::isatty(STDERR_FILENO) == 1 && !dumb;
  coloured_ = interactive_ && (no_color == nullptr || *no_color == '\0');
  output_is_terminal_ = ::isatty(STDOUT_FILENO) == 1;
  unicode_ = locale_is_utf8();
  depth_ = depth_of(no_color, std::getenv("COLORTERM"), term);
  winsize size{};
  if (!output_is_terminal_ || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return;
  if (size.ws_col > 0) width_ = size.ws_col;
  if (size.ws_row > 0) lines_ = size.ws_row;
}

void Console::print(std::string_view text) {
  if (!write_all(STDOUT_FILENO, text))
    throw Error(Status::io, fmt::format("standard output: could not be written: {}", system_message(errno)));
}

void Console::warn(const std::string& message) {
  if (!quiet_) say("warning", "\033[33m", message);
}

void Console::note(const std::string& message) {
  if (verbose_) say("note", "\033[36m", message);
}

void Console::error(const Error& error) {
  std::string where = error.where().file;
  if (!where.empty() && error.where().line > 0) {
    where += fmt::format(":{}", error.where().line);
    if (error.where().column > 0) where += fmt::format(":{}", error.where().column);
  }
  this->error(where.empty() ? error.what() : fmt::format("{}: {}", where, error.what()));
  if (!error.hint().empty()) write_all(STDERR_FILENO, printable(error.hint()) + "\n");
}

void Console::error(std::string_view message) { say("error", "\033[31m", message); }

void Console::say(std::string_view kind, std::string_view colour, std::string_view message) {
  const std::string line = coloured_ ? fmt::format("attn: {}{}:\033[0m {}\n", colour, kind, printable(message))
                                     : fmt::format("attn: {}: {}\n", kind, printable(message));
  write_all(STDERR_FILENO, line);
}

}  // namespace attn::cli
