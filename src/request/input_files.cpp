// The input files of one command, each read once, and the type they are computed in.
#include "request/input_files.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::request {

void InputFiles::want(const std::string& role, const std::string& text, bool main_input) {
  if (text.empty()) return;
  wanted_.push_back({.role = role, .text = text, .main_input = main_input, .loaded = {}});
}

DType InputFiles::read_all() {
  for (Wanted& w : wanted_) {
    if (!FileName::parse(w.text).is_standard_stream()) read(w, text_type());
  }
  for (Wanted& w : wanted_) {
    if (FileName::parse(w.text).is_standard_stream()) read(w, text_type());
  }
  const DType compute = text_type();
  // Decimal text is rounded once, to the type computed in: a CSV that was read before a float64 file turned up is read again.
  for (Wanted& w : wanted_) {
    if (is_text(w.loaded.format) && compute == DType::f64 && w.loaded.array.dtype() == DType::f32 &&
        !w.loaded.name.is_standard_stream())
      w.loaded = load(w, DType::f64);
  }
  return compute;
}

const Loaded* InputFiles::find(const std::string& role) const {
  const auto found = std::ranges::find(wanted_, role, &Wanted::role);
  return found == wanted_.end() ? nullptr : &found->loaded;
}

engine::NamedArray InputFiles::named(const std::string& role) const {
  const Loaded* loaded = find(role);
  if (loaded == nullptr) return {};
  return {loaded->array, role + " " + loaded->name.text()};
}

ReadFiles InputFiles::all() const {
  ReadFiles files;
  for (const Wanted& w : wanted_) files.emplace_back(w.role, w.loaded);
  return files;
}

Loaded InputFiles::load(const Wanted& w, DType type) {
  ReadOptions options = request_.reading.options(type);
  if (!w.main_input) options.from.reset();
  return read_shared(FileName::parse(w.text), options, reporter_, shared_);
}

void InputFiles::read(Wanted& w, DType type) {
  const auto same = std::ranges::find_if(wanted_, [&](const Wanted& other) { return &other < &w && other.text == w.text; });
  w.loaded = same != wanted_.end() && same->main_input == w.main_input ? same->loaded : load(w, type);
  holds_double_ = holds_double_ || w.loaded.array.dtype() == DType::f64;
}

DType InputFiles::text_type() const {
  if (request_.dtype == ComputeType::automatic) return holds_double_ ? DType::f64 : DType::f32;
  return request_.dtype == ComputeType::f64 ? DType::f64 : DType::f32;
}

void notice_rows(const Loaded& loaded, Reporter& reporter) {
  if (loaded.array.rank() == 1)
    reporter.warn(fmt::format("{} has one dimension: taken as one row of {} numbers", loaded.name.text(), loaded.array.size()));
}

}  // namespace attn::request
