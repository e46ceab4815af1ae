// The picture of approximations: the error of each against its time.
#include "base/counted.hpp"
#include "render/scatter.hpp"
#include "request/approx_request.hpp"

#include <attn/io.hpp>

#include <fmt/format.h>

namespace attn::request {

std::string approx_picture(const ApproxTable& t, const std::string& file) {
  const engine::Dims& d = t.dims;
  render::Scatter scatter{
      .title = "Error against time",
      .remark = fmt::format("batch {}, {}, {} queries, {} keys, {} features; {}, {}; exact attention takes {:.3g} s", d.batch,
                            counted(d.heads, "head", "heads"), d.q_len, d.kv_len, d.head_dim, t.dtype,
                            counted(t.threads, "thread", "threads"), t.exact_seconds),
      .x_title = "seconds",
      .y_title = "relative error of the output",
      .marks = {},
      .line = t.exact_seconds,
      .line_name = "exact attention"};
  for (const ApproxResult& r : t.results)
    scatter.marks.push_back({.x = r.seconds, .y = r.error.relative, .name = r.choice.text()});
  return render::draw(scatter, file.ends_with(".svg") ? render::FileKind::svg : render::FileKind::png);
}

void check_picture_name(const std::string& file) {
  if (file.empty() || file.ends_with(".svg") || file.ends_with(".png")) return;
  throw Error(Status::usage, fmt::format("--plot: '{}' is no name of a picture (expected one that ends in .png or .svg)", file));
}

}  // namespace attn::request
