// The options of pictures, and what their text means.
#include "request/plot_request.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace attn::request {

namespace {

using P = PlotSettings;

std::optional<PlotForm> form_of_extension(const std::string& file) {
  const std::size_t dot = file.rfind('.');
  if (dot == std::string::npos || file.find('/', dot) != std::string::npos) return {};
  const std::string extension = file.substr(dot + 1);
  if (extension == "txt") return PlotForm::ansi;
  if (extension == "htm") return PlotForm::html;
  for (const auto& [name, form] : Names<PlotForm>::list)
    if (name == extension) return form;
  return {};
}

std::size_t number(const std::string& option, const std::string& text) {
  std::size_t value = 0;
  read_value(option, text, value);
  return value;
}

}  // namespace

Table<P> plot_rows(const std::string& group, const std::string& prefix) {
  Table<P> t;
  const bool is_own = prefix.empty();
  t.push_back(
      row<P>({.name = prefix + "kind",
              .metavar = "KIND",
              .group = group,
              .help = "a panel of cells for each head, lines from queries to keys, or an overview of all heads",
              .details = "lines are for up to 100 queries and keys: the wider a line, the larger its weight. heads draws a "
                         "small panel for each head, a line of them for each batch entry."},
             [](auto& s) -> auto& { return s.kind; }));
  t.push_back(row<P>({.name = prefix + (is_own ? "to" : "form"),
                      .metavar = "FORM",
                      .group = group,
                      .help = "PNG, SVG, text for a terminal, or a page for a browser (default: by the file's name)",
                      .details = "Without a file, a terminal gets text. The page holds all it needs, shows the number under the "
                                 "pointer to three digits, and lets heads be chosen and cells enlarged."},
                     [](auto& s) -> auto& { return s.to; }));
  t.push_back(
      row<P>({.name = prefix + "head", .metavar = "LIST", .group = group, .help = "the heads to draw: 0,3,5..7 (default: all)"},
             [](auto& s) -> auto& { return s.head; }));
  t.push_back(
      row<P>({.name = prefix + "batch", .metavar = "LIST", .group = group, .help = "the batch entries to draw (default: all)"},
             [](auto& s) -> auto& { return s.batch; }));
  t.push_back(row<P>({.name = prefix + "pool",
                      .metavar = "HOW",
                      .group = group,
                      .help = "what a cell that stands for several pairs shows of them",
                      .details = "Matrices larger than the picture are pooled while they are computed: each cell is the exact "
                                 "mean, or the largest, of its own pairs; masked ones count as 0."},
                     [](auto& s) -> auto& { return s.pool; }));
  t.push_back(row<P>({.name = prefix + "log", .group = group, .help = "a logarithmic scale, over six powers of ten at most"},
                     [](auto& s) -> auto& { return s.log; }));
  t.push_back(
      row<P>({.name = prefix + "size",
              .metavar = "N",
              .group = group,
              .help = "the longer side of a panel in pixels, or of text the columns of all (default: 800, less for many)"},
             [](auto& s) -> auto& { return s.size; }));
  t.push_back(row<P>({.name = prefix + "colours",
                      .metavar = "WHICH",
                      .group = group,
                      .help = "of text: none, 256 or all (auto: what NO_COLOR, COLORTERM and TERM say)"},
                     [](auto& s) -> auto& { return s.colours; }));
  t.push_back(row<P>({.name = prefix + "title", .metavar = "TEXT", .group = group, .help = "instead of what was computed"},
                     [](auto& s) -> auto& { return s.title; }));
  return t;
}

PlotForm form_of(const PlotSettings& s) {
  std::optional<PlotForm> form = s.to;
  if (!form) form = form_of_extension(s.file);
  if (!form && s.file == "-" && s.output_is_terminal) form = PlotForm::ansi;
  if (!form && s.file == "-")
    throw Error(Status::usage, "a picture on standard output needs a form (expected png, svg, ansi or html)",
                "a file's name says it, too: plot.png");
  if (!form)
    throw Error(Status::usage,
                fmt::format("'{}' does not say what kind of picture it is (expected .png, .svg, .html or .txt)", s.file));
  const bool is_file = *form == PlotForm::png || *form == PlotForm::svg;
  if (s.kind == PlotKind::lines && !is_file)
    throw Error(Status::usage, "lines are drawn as PNG or SVG", "a heat map can be text or a page");
  if (s.kind == PlotKind::heads && *form == PlotForm::html)
    throw Error(Status::usage, "an overview is no page", "the page of a heat map shows all heads, one of them large");
  return *form;
}

std::vector<std::size_t> chosen(const std::string& option, const std::string& text, std::size_t count) {
  std::set<std::size_t> numbers;
  if (text.empty())
    for (std::size_t i = 0; i < count; ++i) numbers.insert(i);
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, comma - at);
    at = comma + 1;
    const std::size_t dots = part.find("..");
    const std::size_t first = number(option, part.substr(0, dots));
    const std::size_t last = dots == std::string::npos ? first : number(option, part.substr(dots + 2));
    if (last < first || last >= count)
      throw Error(Status::usage, fmt::format("{}: '{}' is not there (there are 0 to {})", option, part, count - 1));
    for (std::size_t i = first; i <= last; ++i) numbers.insert(i);
  }
  return {numbers.begin(), numbers.end()};
}

}  // namespace attn::request
