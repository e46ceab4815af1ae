// Reads Markdown documents: fences, marks, commands and data.
#include "document/markdown.hpp"

#include <attn/error.hpp>

#include <filesystem>
#include <sstream>

#include <fmt/format.h>

namespace attn::document {

namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Cuts the first word off.
std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find_first_of(blanks));
  text = trimmed(text.substr(word.size()));
  return word;
}

/// A run of at least three backticks or tildes, at most three blanks from the margin.
struct Fence {
  char sign = 0;  ///< 0: the line is no fence
  std::size_t length = 0;
  std::string_view info;
};

Fence fence_of(std::string_view line) {
  const std::size_t indent = line.find_first_not_of(' ');
  if (indent > 3) return {};  // also for a line of blanks, where it is npos
  line.remove_prefix(indent);
  const char sign = line.front();
  if (sign != '`' && sign != '~') return {};
  const std::size_t end = line.find_first_not_of(sign);
  const std::size_t length = end == std::string_view::npos ? line.size() : end;
  const std::string_view info = trimmed(line.substr(length));
  // `code` in three backticks within a sentence is no fence.
  const bool inline_code = sign == '`' && info.find('`') != std::string_view::npos;
  if (length < 3 || inline_code) return {};
  return {sign, length, info};
}

bool closes(const Fence& opened, std::string_view line) {
  const Fence fence = fence_of(line);
  return fence.sign == opened.sign && fence.length >= opened.length && fence.info.empty();
}

/// FOLDER of "<!-- in FOLDER -->"; false for every other line.
bool folder_comment(std::string_view line, std::string& folder) {
  constexpr std::string_view head = "<!-- in ";
  constexpr std::string_view tail = " -->";
  if (line.size() <= head.size() + tail.size() || !line.starts_with(head) || !line.ends_with(tail)) return false;
  folder = line.substr(head.size(), line.size() - head.size() - tail.size());
  if (folder == ".") folder.clear();
  return true;
}

/// Goes through the lines once.
class Reader {
 public:
  Reader(const std::vector<std::string>& lines, const std::string& file) : lines_(lines), file_(file) {}

  Document read() {
    while (at_ < lines_.size()) {
      const std::string_view line = lines_[at_];
      const Fence fence = fence_of(line);
      if (fence.sign != 0) {
        block(fence);
        continue;
      }
      if (folder_comment(line, folder_)) require_inside(folder_, at_, "folder");
      if (document_.title.empty() && line.starts_with("# ")) document_.title = trimmed(line.substr(2));
      ++at_;
    }
    return std::move(document_);
  }

 private:
  [[noreturn]] void fail(std::size_t index, const std::string& what, const std::string& hint = {}) const {
    throw Error(Status::data, {file_, index + 1}, what, hint);
  }

  /// A document writes and reads in its own folder only.
  void require_inside(const std::string& name, std::size_t index, std::string_view what) const {
    const std::filesystem::path path(name);
    bool inside = path.is_relative();
    for (const std::filesystem::path& part : path) inside = inside && part != "..";
    if (!inside) fail(index, fmt::format("the {} {} leads out of the document's folder", what, name));
  }

  void block(const Fence& fence) {
    const std::size_t opened = at_++;
    std::string_view info = fence.info;
    const std::string_view language = take_word(info);
    const bool console = language == "console";
    const bool data = info.starts_with("file=");
    if (console) open_console(opened, info);
    if (data) open_file(opened, info);
    bool in_command = false;
    for (; at_ < lines_.size(); ++at_) {
      if (closes(fence, lines_[at_])) {
        ++at_;
        return;
      }
      if (console) in_command = console_line(in_command);
      if (data) document_.files.back().text += lines_[at_] + "\n";
    }
    if (console || data) fail(opened, "this block is not closed");
  }

  void open_console(std::size_t opened, std::string_view info) {
    Block block{.line = opened + 1, .folder = folder_, .needs_shell = false, .must_differ = false, .reason = {}, .commands = {}};
    const std::string_view mark = take_word(info);
    block.needs_shell = mark == "shell";
    block.must_differ = mark == "differs";
    if (!mark.empty() && !block.needs_shell && !block.must_differ)
      fail(opened, fmt::format("'{}' is no mark of a console block (shell or differs was expected)", mark));
    block.reason = info;
    document_.blocks.push_back(std::move(block));
  }

  void open_file(std::size_t opened, std::string_view info) {
    const std::string name(take_word(info).substr(std::string_view("file=").size()));
    if (name.empty() || name.back() == '/') fail(opened, "file= needs the name of a file");
    require_inside(name, opened, "file");
    document_.files.push_back({opened + 1, folder_, name, {}});
  }

  /// True when the next line may still belong to the command.
  bool console_line(bool in_command) {
    const std::string& line = lines_[at_];
    std::vector<Printed>& commands = document_.blocks.back().commands;
    if (line.starts_with("$ ")) {
      commands.push_back({line.substr(2) + "\n", at_ + 1, at_ + 1, 0, {}});
      return true;
    }
    if (commands.empty()) fail(at_, "output before the first command of a console block");
    Printed& printed = commands.back();
    if (in_command && (line == ">" || line.starts_with("> "))) {
      printed.command += (line.size() > 2 ? line.substr(2) : std::string()) + "\n";
      printed.output_at = at_ + 1;
      return true;
    }
    ++printed.output_count;
    printed.output += line + "\n";
    return false;
  }

  const std::vector<std::string>& lines_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::string folder_;
  Document document_;
};

}  // namespace

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

Document read_document(const std::vector<std::string>& lines, const std::string& file) { return Reader(lines, file).read(); }

}  // namespace attn::document
