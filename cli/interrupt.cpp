// Ctrl-C as a flag that a walk looks at.
#include "cli/interrupt.hpp"

#include <csignal>

#include <sched.h>

namespace attn::cli {

namespace {

std::atomic<bool> interrupted = false;

extern "C" void on_signal(int signal) {
  interrupted.store(true);
  set_handler(signal, SIG_DFL);  // the next one ends the process
}

}  // namespace

Interrupt::Interrupt() {
  set_handler(SIGINT, on_signal);
  set_handler(SIGTERM, on_signal);
}

Interrupt::~Interrupt() {
  set_handler(SIGINT, SIG_DFL);
  set_handler(SIGTERM, SIG_DFL);
}

void set_handler(int signal, void (*handler)(int)) noexcept {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  (void)::sigaction(signal, &action, nullptr);
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
