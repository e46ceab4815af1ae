// Cuts a Markdown document into the commands of its ```console blocks.
#include "docs/document.hpp"

#include <sstream>
#include <stdexcept>

namespace attn::testing {

namespace {

bool starts_with(const std::string& line, const std::string& beginning) { return line.rfind(beginning, 0) == 0; }

/// FOLDER of "<!-- in FOLDER -->"; false for every other line.
bool folder_comment(const std::string& line, std::string& folder) {
  const std::string head = "<!-- in ";
  const std::string tail = " -->";
  if (!starts_with(line, head) || line.size() <= head.size() + tail.size()) return false;
  if (line.compare(line.size() - tail.size(), tail.size(), tail) != 0) return false;
  folder = line.substr(head.size(), line.size() - head.size() - tail.size());
  if (folder == ".") folder.clear();
  return true;
}

[[noreturn]] void fail(std::size_t index, const std::string& what) {
  throw std::runtime_error("line " + std::to_string(index + 1) + ": " + what);
}

}  // namespace

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<Printed> printed_commands(const std::vector<std::string>& lines) {
  std::vector<Printed> commands;
  std::string folder;
  std::size_t opened = 0;
  bool inside = false;
  bool in_command = false;  // the next "> " line still belongs to the command
  std::size_t before = 0;   // commands found before this block
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (!inside) {
      folder_comment(line, folder);
      inside = line == "```console";
      opened = i;
      before = commands.size();
    } else if (starts_with(line, "```")) {
      inside = false;
    } else if (starts_with(line, "$ ")) {
      commands.push_back({folder, line.substr(2) + "\n", i + 1, i + 1, 0, {}});
      in_command = true;
    } else if (in_command && starts_with(line, "> ")) {
      commands.back().command += line.substr(2) + "\n";
      commands.back().output_at = i + 1;
    } else {
      if (commands.size() == before) fail(i, "output before the first command of a console block");
      in_command = false;
      ++commands.back().output_count;
      commands.back().output += line + "\n";
    }
  }
  if (inside) fail(opened, "this block is not closed");
  return commands;
}

}  // namespace attn::testing
