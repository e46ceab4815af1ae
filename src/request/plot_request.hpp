// What is asked of a picture of weights.
#pragma once

#include "analysis/pooled_weights.hpp"
#include "render/terminal.hpp"
#include "request/option.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace attn::request {

enum class PlotForm { png, svg, ansi, html };
enum class PlotKind { heatmap, lines, heads };
enum class PlotColours { automatic, none, palette, full };

struct PlotSettings {
  std::string file;  ///< empty: no picture
  std::optional<PlotForm> to;
  PlotKind kind = PlotKind::heatmap;
  analysis::Pool pool = analysis::Pool::mean;
  bool log = false;
  std::string head;   ///< "0,3,5..7"; empty: all
  std::string batch;  ///< likewise
  std::optional<std::size_t> size;
  PlotColours colours = PlotColours::automatic;
  std::string title;

  // Not options: what the program knows of its surroundings.
  render::Terminal terminal;        ///< the window, and the colours that its environment speaks of
  bool output_is_terminal = false;  ///< standard output is one
};

/// Rows for these; `prefix` stands before names that other commands use for something else, "" where none does.
[[nodiscard]] Table<PlotSettings> plot_rows(const std::string& group, const std::string& prefix);

/// The form that the file's extension, `to`, or a terminal asks for. Throws Error(usage) when nothing says it, and for forms that
/// the kind of picture does not have.
[[nodiscard]] PlotForm form_of(const PlotSettings& settings);

/// The numbers that a list of numbers and ranges names, ascending: "0,3,5..7". Empty text names all below `count`. Throws
/// Error(usage) that calls the option by its name.
[[nodiscard]] std::vector<std::size_t> chosen(const std::string& option, const std::string& text, std::size_t count);

template <>
struct Names<PlotForm> {
  static constexpr std::array<std::pair<std::string_view, PlotForm>, 4> list{
      {{"png", PlotForm::png}, {"svg", PlotForm::svg}, {"ansi", PlotForm::ansi}, {"html", PlotForm::html}}};
};
template <>
struct Names<PlotKind> {
  static constexpr std::array<std::pair<std::string_view, PlotKind>, 3> list{
      {{"heatmap", PlotKind::heatmap}, {"lines", PlotKind::lines}, {"heads", PlotKind::heads}}};
};
template <>
struct Names<PlotColours> {
  static constexpr std::array<std::pair<std::string_view, PlotColours>, 4> list{{{"auto", PlotColours::automatic},
                                                                                 {"none", PlotColours::none},
                                                                                 {"256", PlotColours::palette},
                                                                                 {"full", PlotColours::full}}};
};
template <>
struct Names<analysis::Pool> {
  static constexpr std::array<std::pair<std::string_view, analysis::Pool>, 2> list{
      {{"mean", analysis::Pool::mean}, {"max", analysis::Pool::max}}};
};

}  // namespace attn::request
