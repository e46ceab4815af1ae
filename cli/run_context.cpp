// What computing commands use of the world around them.
#include "cli/run_context.hpp"

#include "cli/interrupt.hpp"
#include "cli/progress.hpp"

#include <cstdlib>
#include <optional>
#include <string>

namespace attn::cli {

namespace {

/// Where POSIX programs put their temporary files.
std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder == nullptr || *folder == '\0' ? "/tmp" : folder;
}

}  // namespace

Status run_in_context(Console& console, const std::function<void(const request::RunContext&)>& body) {
  std::optional<Interrupt> interrupt(std::in_place);
  Progress progress(console);
  body({.reporter = console,
        .print = [&](std::string_view text) { console.print(text); },
        .progress = [&](double fraction) { progress.show(fraction); },
        .cancelled = interrupt->flag(),
        // Unfinished outputs have no names: from here on a signal may end the process at once.
        .writing = [&] { interrupt.reset(); },
        .cores = usable_cores(),
        .temporary_folder = temporary_folder()});
  return Status::ok;
}

}  // namespace attn::cli
