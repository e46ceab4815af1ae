// A picture of weights, from the walk to its file.
#include "request/plot_output.hpp"

#include "render/draw.hpp"
#include "render/page.hpp"

#include <fmt/format.h>

namespace attn::request {

namespace {

std::string bytes_of(const render::Picture& picture, const PlotView& view, analysis::Pool pool) {
  switch (view.form) {
    case PlotForm::ansi:
      return render::draw(picture, view.plan, view.terminal);
    case PlotForm::svg:
      return render::draw(picture, render::FileKind::svg);
    case PlotForm::html:
      return render::draw_page(picture, {.pool = pool == analysis::Pool::mean ? "mean of" : "largest of"});
    case PlotForm::png:
      break;
  }
  return render::draw(picture, render::FileKind::png);
}

}  // namespace

template <class T>
PlotOutput<T>::PlotOutput(const PlotSettings& settings, const engine::Plan& plan, const PlotNames& names, Outputs& files)
    : settings_(settings),
      plan_(plan),
      names_(names),
      view_(view_of(settings, plan, names.ids)),
      cells_(plan, settings.pool, view_.grid),
      bytes_(std::make_shared<std::string>()) {
  const FileName file = FileName::parse_output(settings.file);
  auto write = [bytes = bytes_](Outputs::TextSink& sink) { sink.write(*bytes); };
  if (view_.form == PlotForm::png)
    files.add_binary(file, "PNG", "use --to ansi", std::move(write));
  else
    files.add_text(file, std::move(write));
}

template <class T>
void PlotOutput<T>::finish(Reporter& reporter) {
  render::Picture picture = picture_of(settings_, view_, plan_, names_);
  render::ScaleMaker scale;
  for (std::size_t n = 0; n < picture.panels.size(); ++n) {
    picture.panels[n].cells.values = cells_.cells(n);
    scale.take(picture.panels[n].cells.values);
  }
  saw_nan_ = scale.has_nan();
  if (settings_.log && scale.lowest() < 0)
    throw Error(Status::data, fmt::format("a weight of {:.4g} has no logarithm (--log)", scale.lowest()));
  picture.scale = scale.scale(settings_.log);
  picture.scale.title = !names_.quantity.empty()                                               ? names_.quantity
                        : plan_.options.normalize == Normalizer::none && names_.source.empty() ? "logit"
                                                                                               : "weight";
  const bool is_file = view_.form == PlotForm::png || view_.form == PlotForm::svg;
  if (is_file && !render::has_font())
    reporter.warn("no font is installed: the picture has no text (on Debian: apt-get install fonts-dejavu-core)");
  *bytes_ = bytes_of(picture, view_, settings_.pool);
}

template class PlotOutput<float>;
template class PlotOutput<double>;

}  // namespace attn::request
