// What computing commands use of the world around them: threads, progress, interruption, temporary files.
#pragma once

#include "cli/console.hpp"
#include "request/plot_request.hpp"
#include "request/run.hpp"

#include <functional>

namespace attn::cli {

/// Calls `body` with messages, progress and text going to the console; SIGINT and SIGTERM end it with Error(interrupted) until
/// outputs are about to be written.
Status run_in_context(Console& console, const std::function<void(const request::RunContext&)>& body);

/// What pictures as text need to know of the terminal.
void tell_surroundings(const Console& console, request::PlotSettings& settings);

}  // namespace attn::cli
