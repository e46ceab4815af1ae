// Man pages, made from the list of commands and their options.
#include "cli/reference.hpp"

#include <fmt/format.h>

namespace attn::cli {

namespace {

/// Text as roff has it: every backslash, hyphen and quote stands for itself, and no line starts a request.
std::string roff(const std::string& text) {
  std::string result;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) result += "\\&";
    line_start = c == '\n';
    switch (c) {
      case '\\':
        result += "\\e";
        break;
      case '-':
        result += "\\-";
        break;
      case '\'':
        result += "\\(aq";
        break;
      case '^':
        result += "\\(ha";
        break;
      case '~':
        result += "\\(ti";
        break;
      case '`':
        result += "\\(ga";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

std::string title(const std::string& name, const std::string& summary) {
  return fmt::format(".TH {} 1 \"\" \"attn {}\" \"attn\"\n.SH NAME\n{} \\- {}\n", roff(upper(name)), ATTN_VERSION, roff(name),
                     roff(summary));
}

std::string heading(const Option& option) {
  const std::string value = option.metavar.empty() ? "" : fmt::format(" \\fI{}\\fR", roff(option.metavar));
  if (option.positional) return fmt::format("\\fI{}\\fR", roff(option.name));
  const std::string flag = fmt::format("\\fB\\-\\-{}\\fR", roff(option.name));
  return option.letter == 0 ? flag + value : fmt::format("\\fB\\-{}\\fR, {}{}", option.letter, flag, value);
}

std::string files_and_statuses() {
  std::string text = ".SH FILES\n";
  bool first = true;
  for (const std::string& rule : file_rules()) {
    text += (first ? "" : ".PP\n") + roff(rule) + "\n";
    first = false;
  }
  text += ".SH EXIT STATUS\n";
  for (const auto& [status, meaning] : exit_statuses()) text += fmt::format(".TP\n.B {}\n{}\n", status, roff(meaning));
  return text;
}

std::string overview_page() {
  std::string text = title("attn", "the command-line attention workbench");
  text += ".SH SYNOPSIS\n.B attn\n.I COMMAND\n[\\fIarguments\\fR]\n";
  text +=
      ".SH DESCRIPTION\nReads matrices, computes any common attention variant, and writes outputs, weights and what one would "
      "want to "
      "know about them.\n.SH COMMANDS\n";
  for (const Command& command : commands())
    text += fmt::format(".TP\n.B {}\n{}.\nExample:\n.B {}\n", roff(command.info.name), roff(command.info.summary),
                        roff(command.info.example));
  return text + files_and_statuses() + ".SH SEE ALSO\n.B attn man\n.I COMMAND\nprints the page of a command.\n";
}

}  // namespace

std::string man_page(const Command* command) {
  if (command == nullptr) return overview_page();
  const CommandInfo& info = command->info;
  const std::vector<Option> options = command->options();
  std::string text = title("attn-" + info.name, info.summary);
  text += fmt::format(".SH SYNOPSIS\n.B {}\n", roff(info.usage));
  if (!info.description.empty()) text += fmt::format(".SH DESCRIPTION\n{}\n", roff(info.description));
  text += ".SH OPTIONS\n";
  for (const std::string& group : option_groups(options)) {
    text += fmt::format(".SS {}\n", roff(group));
    for (const Option& option : options) {
      if (option.group == group) text += fmt::format(".TP\n{}\n{}\n", heading(option), roff(option_text(option)));
    }
  }
  return text + files_and_statuses() + fmt::format(".SH EXAMPLE\n.nf\n{}\n.fi\n", roff(info.example));
}

}  // namespace attn::cli
