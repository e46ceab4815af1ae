// A progress bar on a terminal.
#include "cli/progress.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace attn::cli {

Progress::Progress(const Console& console) : active_(console.interactive()) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void Progress::show(double fraction) {
  if (!active_) return;
  const std::scoped_lock lock(mutex_);
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  drawn_ = true;
  constexpr int width = 30;
  const double part = std::clamp(fraction, 0.0, 1.0);
  const int full = static_cast<int>(part * width);
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left = part > 0 ? elapsed / part - elapsed : 0;
  fmt::print(stderr, "\r[{:=<{}}{:<{}}] {:3.0f} %  {:.0f} s left ", "", full, "", width - full, 100 * part, left);
}

}  // namespace attn::cli
