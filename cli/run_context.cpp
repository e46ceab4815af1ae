// What computing commands use of the world around them.
#include "cli/run_context.hpp"

#include "cli/documents.hpp"
#include "cli/interrupt.hpp"
#include "cli/progress.hpp"

#include <optional>

namespace attn::cli {

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

void tell_surroundings(const Console& console, request::PlotSettings& settings) {
  settings.terminal = console.window();
  settings.output_is_terminal = console.output_is_terminal();
}

}  // namespace attn::cli
