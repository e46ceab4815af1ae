// Ctrl-C as a flag that a walk looks at.
#include "cli/interrupt.hpp"

#include <csignal>

#include <sched.h>

namespace attn::cli {

namespace {

std::atomic<bool> interrupted = false;

extern "C" void on_signal(int signal) {
  interrupted.store(true);
  std::signal(signal, SIG_DFL);  // the next one ends the process
}

}  // namespace

Interrupt::Interrupt() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

const std::atomic<bool>* Interrupt::flag() const noexcept { return &interrupted; }

std::size_t usable_cores() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? static_cast<std::size_t>(count) : 1;
}

}  // namespace attn::cli
