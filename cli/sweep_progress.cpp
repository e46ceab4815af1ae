// How far a sweep is.
#include "cli/sweep_progress.hpp"

#include <cstdio>

#include <fmt/format.h>

namespace attn::cli {

namespace {

std::string text_of(const sweep::Progress& p) {
  const double rate = p.seconds > 0 ? static_cast<double>(p.done) / p.seconds : 0;
  std::string text = fmt::format("{} of {} runs", p.done, p.total);
  if (p.failed > 0) text += fmt::format(", {} failed", p.failed);
  if (rate > 0) text += fmt::format(", {:.3g} a second, {:.0f} s left", rate, static_cast<double>(p.total - p.done) / rate);
  return text;
}

}  // namespace

void say_progress(const Console& console, const std::string& text) {
  if (!console.quiet()) fmt::print(stderr, "attn: {}\n", text);
}

SweepProgress::~SweepProgress() { clear_line(); }

void SweepProgress::clear_line() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

void SweepProgress::clear() {
  const std::scoped_lock lock(mutex_);
  clear_line();
}

void SweepProgress::show(const sweep::Progress& progress) {
  const std::scoped_lock lock(mutex_);
  if (console_.interactive()) {
    fmt::print(stderr, "\r\033[K{}", text_of(progress));
    (void)std::fflush(stderr);
    drawn_ = true;
  } else if (const auto now = Clock::now(); now >= next_) {
    next_ = now + std::chrono::seconds(10);
    say_progress(console_, text_of(progress));
  }
}

void SweepProgress::warn(const std::string& message) {
  const std::scoped_lock lock(mutex_);
  clear_line();
  console_.warn(message);
}

void SweepProgress::note(const std::string& message) {
  const std::scoped_lock lock(mutex_);
  clear_line();
  console_.note(message);
}

}  // namespace attn::cli
