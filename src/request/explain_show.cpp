// Shows an explanation as text, Markdown and LaTeX.
#include "request/explain.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Signs that a table of Markdown would obey.
std::string markdown(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("|\\`*_<>[]").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

/// Signs that LaTeX would obey.
std::string latex(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\textbackslash{}";
    } else if (c == '[' || c == ']') {
      result += fmt::format("{{{}}}", c);  // a bracket behind a line break would be its argument
    } else if (c == '~' || c == '^') {
      result += fmt::format("\\{}{{}}", c);
    } else if (c == '<' || c == '>' || c == '|') {
      result += fmt::format("${}$", c);  // TeX's old text fonts have other signs in these places
    } else {
      if (std::string_view("&%$#_{}").find(c) != std::string_view::npos) result += '\\';
      result += c;
    }
  }
  return result;
}

/// A number in mathematics mode, with its power of ten; a name as text.
std::string latex_cell(const std::string& cell) {
  if (cell == "inf" || cell == "-inf") return cell == "inf" ? "$\\infty$" : "$-\\infty$";
  const bool number = !cell.empty() && cell.find_first_not_of("0123456789.+-e") == std::string::npos &&
                      cell.find_first_of("0123456789") != std::string::npos;
  if (!number) return latex(cell);
  const std::size_t e = cell.find('e');
  if (e == std::string::npos) return fmt::format("${}$", cell);
  return fmt::format("${} \\cdot 10^{{{}}}$", cell.substr(0, e), std::stoi(cell.substr(e + 1)));
}

/// Characters of UTF-8, as far as columns count them.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Names to the left, numbers to the right of their columns.
std::string aligned(const NamedGrid& grid) {
  std::vector<std::vector<std::string>> lines{grid.columns};
  lines.insert(lines.end(), grid.rows.begin(), grid.rows.end());
  std::vector<std::size_t> widths(grid.columns.size(), 0);
  for (const auto& line : lines)
    for (std::size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], width_of(line[c]));
  std::string text;
  for (const auto& line : lines) {
    std::string row = "  ";
    for (std::size_t c = 0; c < line.size(); ++c) {
      const std::string space(widths[c] - width_of(line[c]), ' ');
      row += c == 0 ? line[c] + space : "  " + space + line[c];
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

std::string joined(const std::vector<std::string>& cells, const char* between, std::string (*shown)(const std::string&)) {
  std::string text;
  for (std::size_t c = 0; c < cells.size(); ++c) text += (c == 0 ? "" : between) + shown(cells[c]);
  return text;
}

}  // namespace

std::string explanation_text(const Explanation& explanation) {
  std::string text;
  for (std::size_t n = 0; n < explanation.steps.size(); ++n) {
    const Step& step = explanation.steps[n];
    text += fmt::format("{}{}. {}\n", n == 0 ? "" : "\n", n + 1, step.title);
    if (!step.formula.empty()) text += fmt::format("   {}\n", step.formula);
    for (const NamedGrid& grid : step.grids) {
      if (!grid.caption.empty()) text += fmt::format("  {}\n", grid.caption);
      text += aligned(grid);
    }
    for (const std::string& note : step.notes) text += fmt::format("   {}\n", note);
  }
  return text;
}

std::string explanation_markdown(const Explanation& explanation) {
  std::string text;
  for (std::size_t n = 0; n < explanation.steps.size(); ++n) {
    const Step& step = explanation.steps[n];
    text += fmt::format("{}## {}. {}\n", n == 0 ? "" : "\n", n + 1, markdown(step.title));
    if (!step.latex.empty()) text += fmt::format("\n$${}$$\n", step.latex);
    for (const NamedGrid& grid : step.grids) {
      if (!grid.caption.empty()) text += fmt::format("\n{}\n", markdown(grid.caption));
      text += fmt::format("\n| {} |\n|", joined(grid.columns, " | ", markdown));
      for (std::size_t c = 0; c < grid.columns.size(); ++c) text += c == 0 ? "---|" : "---:|";
      text += "\n";
      for (const auto& row : grid.rows) text += fmt::format("| {} |\n", joined(row, " | ", markdown));
    }
    for (const std::string& note : step.notes) text += fmt::format("\n{}\n", markdown(note));
  }
  return text;
}

std::string explanation_latex(const Explanation& explanation) {
  std::string text;
  for (std::size_t n = 0; n < explanation.steps.size(); ++n) {
    const Step& step = explanation.steps[n];
    text += fmt::format("{}\\paragraph{{{}. {}}}\n", n == 0 ? "" : "\n", n + 1, latex(step.title));
    if (!step.latex.empty()) text += fmt::format("\\[ {} \\]\n", step.latex);
    for (const NamedGrid& grid : step.grids) {
      if (!grid.caption.empty()) text += fmt::format("\\par\\noindent {}\\par\n", latex(grid.caption));
      text += fmt::format("\\begin{{center}}\\begin{{tabular}}{{l{}}}\n{} \\\\ \\hline\n",
                          std::string(grid.columns.size() - 1, 'r'), joined(grid.columns, " & ", latex));
      for (const auto& row : grid.rows) text += joined(row, " & ", latex_cell) + " \\\\\n";
      text += "\\end{tabular}\\end{center}\n";
    }
    for (const std::string& note : step.notes) text += fmt::format("\\noindent {}\n\n", latex(note));
  }
  return text;
}

}  // namespace attn::request
