// Splits command lines into words, pipelines and here-documents.
#include "document/command_line.hpp"

#include <attn/error.hpp>

#include <fmt/format.h>

namespace attn::document {

namespace {

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  CommandLine split() {
    line_.emplace_back().emplace_back();
    for (;;) {
      skip_blanks();
      if (done()) break;
      if (text_[at_] == '\n') {
        end_line();
      } else if (!operator_here()) {
        stage().words.push_back(word());
      }
    }
    if (!awaited_.empty()) fail(fmt::format("the here-document <<{} does not begin", awaited_));
    require_stage();
    return std::move(line_);
  }

 private:
  [[noreturn]] static void fail(const std::string& what) { throw Error(Status::usage, what); }
  [[noreturn]] static void needs_shell(std::string_view what) { fail(fmt::format("{} needs a shell, and none is run", what)); }

  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  [[nodiscard]] bool here(std::string_view sign) const { return text_.substr(at_).starts_with(sign); }
  Stage& stage() { return line_.back().back(); }

  void require_stage() {
    if (stage().words.empty()) fail("a command is missing");
  }

  /// Blanks, comments, and newlines behind a backslash.
  void skip_blanks() {
    while (!done()) {
      if (text_[at_] == ' ' || text_[at_] == '\t') {
        ++at_;
      } else if (here("\\\n")) {
        at_ += 2;
      } else if (text_[at_] == '#') {
        while (!done() && text_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  /// At the end of a line the here-document begins that the line announced; without one nothing may follow.
  void end_line() {
    ++at_;
    if (!awaited_.empty()) {
      read_here_document();
      return;
    }
    const std::string_view rest = text_.substr(at_);
    if (rest.find_first_not_of(" \t\n") != std::string_view::npos) needs_shell("a second command on a line of its own");
  }

  void read_here_document() {
    std::string body;
    while (!done()) {
      const std::size_t end = std::min(text_.find('\n', at_), text_.size());
      const std::string_view line = text_.substr(at_, end - at_);
      at_ = std::min(end + 1, text_.size());
      if (line == awaited_) {
        line_[awaited_by_.first][awaited_by_.second].input_text = std::move(body);
        awaited_.clear();
        return;
      }
      body.append(line).append("\n");
    }
    fail(fmt::format("the here-document <<{} does not end", awaited_));
  }

  /// True when an operator stood here and was taken.
  bool operator_here() {
    for (const std::string_view refused : {"||", ";", "<<<", "<<-", "<&", "<>", ">&", ">>", ">|", "(", ")"})
      if (here(refused)) needs_shell(refused);
    if (here("&&")) return next(2, true);
    if (here("&")) needs_shell("&");
    if (here("|")) return next(1, false);
    if (here("<<")) return here_document();
    if (here("<")) return redirect(stage().input_file);
    if (here(">")) return redirect(stage().output_file);
    return false;
  }

  bool next(std::size_t length, bool pipeline) {
    require_stage();
    at_ += length;
    if (pipeline) {
      line_.emplace_back().emplace_back();
    } else {
      line_.back().emplace_back();
    }
    return true;
  }

  bool here_document() {
    if (!awaited_.empty()) needs_shell("a second here-document");
    at_ += 2;
    skip_blanks();
    awaited_ = word();
    if (awaited_.empty()) fail("<< needs a word that ends the here-document");
    awaited_by_ = {line_.size() - 1, line_.back().size() - 1};
    return true;
  }

  bool redirect(std::optional<std::string>& file) {
    const char sign = text_[at_++];
    skip_blanks();
    if (done() || text_[at_] == '\n') fail(fmt::format("{} needs the name of a file", sign));
    if (file) needs_shell(fmt::format("a second {}", sign));
    file = word();
    if (file->empty()) fail(fmt::format("{} needs the name of a file", sign));
    return true;
  }

  /// A word with its quotes taken away; ends before a blank or an operator.
  std::string word() {
    std::string result;
    const std::size_t first = at_;
    while (!done()) {
      const char c = text_[at_];
      if (std::string_view(" \t\n|&;<>()").find(c) != std::string_view::npos) break;
      if (c == '\'') {
        single_quoted(result);
      } else if (c == '"') {
        double_quoted(result);
      } else if (c == '\\') {
        escaped(result);
      } else {
        refuse_expansion(c, at_ == first);
        result += c;
        ++at_;
      }
    }
    // "2>" redirects another stream.
    const bool digits = !result.empty() && result.find_first_not_of("0123456789") == std::string::npos;
    if (digits && at_ - first == result.size() && (here("<") || here(">"))) needs_shell("a redirection of another stream");
    return result;
  }

  static void refuse_expansion(char c, bool first_of_word) {
    if (c == '$' || c == '`') needs_shell(fmt::format("{} outside of single quotes", c));
    if (c == '*' || c == '?') needs_shell(fmt::format("the pattern {}", c));
    if (c == '~' && first_of_word) needs_shell("~");
  }

  void single_quoted(std::string& result) {
    const std::size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) fail("a single quote is not closed");
    result += text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
  }

  void double_quoted(std::string& result) {
    for (++at_; !done() && text_[at_] != '"'; ++at_) {
      const char c = text_[at_];
      if (c == '$' || c == '`') needs_shell(fmt::format("{} outside of single quotes", c));
      const bool escape =
          c == '\\' && at_ + 1 < text_.size() && std::string_view("$`\"\\\n").find(text_[at_ + 1]) != std::string_view::npos;
      if (!escape) {
        result += c;
      } else if (text_[++at_] != '\n') {
        result += text_[at_];
      }
    }
    if (done()) fail("a double quote is not closed");
    ++at_;
  }

  void escaped(std::string& result) {
    if (at_ + 1 >= text_.size()) fail("a backslash stands at the end");
    if (text_[at_ + 1] != '\n') result += text_[at_ + 1];
    at_ += 2;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  CommandLine line_;
  std::string awaited_;  ///< ends the here-document that the present line announced
  std::pair<std::size_t, std::size_t> awaited_by_;
};

}  // namespace

CommandLine split_command(std::string_view text) { return Splitter(text).split(); }

}  // namespace attn::document
