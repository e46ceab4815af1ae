// Ctrl-C as a flag that a walk looks at, and the cores this process may use.
#pragma once

#include <atomic>
#include <cstddef>

namespace attn::cli {

/// While one lives, SIGINT and SIGTERM set a flag so that unfinished outputs are dropped; a second signal ends the process at
/// once.
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  [[nodiscard]] const std::atomic<bool>* flag() const noexcept;
};

/// What `signal` does from now on: a function, SIG_DFL or SIG_IGN.
void set_handler(int signal, void (*handler)(int)) noexcept;

/// Cores in this process's affinity mask, at least 1.
[[nodiscard]] std::size_t usable_cores() noexcept;

}  // namespace attn::cli
