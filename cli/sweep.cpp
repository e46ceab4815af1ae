// attn sweep: a grid of runs, a ledger of how they went, and a table.
#include "sweep/sweep.hpp"

#include "cli/cluster.hpp"
#include "cli/commands.hpp"
#include "cli/run_context.hpp"
#include "cli/sweep_progress.hpp"
#include "sweep/summary.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::cli {

namespace {

using sweep::Spec;
using sweep::SweepRequest;

constexpr const char* kDescription =
    "Runs every combination of a grid of options, from a TOML file or from the command line, and leaves a ledger with one line "
    "for "
    "each run (runs.jsonl: options, status, error, seconds, metrics, outputs with their SHA-256) and a table of them "
    "(summary.csv). A second call goes on where the first stopped, whatever stopped it; a run that fails is written down and the "
    "others go on, with status 1 at the end. Inputs are read once for all runs.";

const CommandInfo& info() {
  static const CommandInfo the{.name = "sweep",
                               .group = "Attention",
                               .summary = "a grid of runs that resumes, on several cores or a cluster",
                               .usage = "attn sweep SPEC.toml -o DIR | attn sweep --grid OPTION=VALUES -o DIR -- run X [options]",
                               .example = "attn sweep --grid score=dot,cosine --grid heads=1..8 -o sweep -- run x.npy --causal",
                               .description = kDescription};
  return the;
}

/// The command behind `--` with its options, as a specification.
Spec spec_of(const std::vector<std::string>& words) {
  Spec spec;
  spec.command = &sweep::find_sweep_command(words.front());
  const CommandInfo& command = find_command(words.front()).info;
  parse_arguments(command, spec.command->options, {words.begin() + 1, words.end()},
                  [&](std::size_t place, const std::string& text) {
                    const Option& option = spec.command->options[place];
                    if (option.writes && text == "none") return;
                    sweep::check_setting(option, "behind --");
                    if (option.is_file() && text == "-")
                      throw Error(Status::usage, "a sweep reads its inputs more than once, and standard input cannot be");
                    const std::string value = option.is_switch() ? "yes" : text;
                    const auto there = std::ranges::find(spec.run, option.name, &sweep::Setting::option);
                    if (there == spec.run.end())
                      spec.run.push_back({.option = option.name, .texts = {value}});
                    else if (option.repeated)
                      there->texts.push_back(value);
                    else
                      there->texts = {value};
                  });
  return spec;
}

Spec read_request(const SweepRequest& request, const std::vector<std::string>& words) {
  if (request.spec.empty() == words.empty())
    throw Error(Status::usage, "a sweep needs a specification: a TOML file, or a command behind --", "usage: " + info().usage);
  return complete_spec(words.empty() ? sweep::read_spec(request.spec) : spec_of(words), request);
}

void say_outcome(const sweep::Outcome& outcome, const SweepRequest& request, const Console& console) {
  const std::size_t failed = outcome.progress.failed + outcome.failed_before;
  std::string text = fmt::format("{} runs done", outcome.progress.done);
  if (outcome.skipped > 0) text += fmt::format(", {} done before", outcome.skipped);
  if (failed > 0) text += fmt::format(", {} failed", failed);
  if (outcome.failed_before > 0) text += fmt::format(" ({} before: --retry-failed runs them again)", outcome.failed_before);
  say_progress(console, fmt::format("{} in {:.1f} s: {}/summary.csv", text, outcome.progress.seconds, request.folder));
}

Status execute(const SweepRequest& request, const std::vector<std::string>& words, Console& console) {
  if (!request.summary.empty()) {
    if (!request.spec.empty() || !words.empty()) throw Error(Status::usage, "--summary takes a folder, and nothing is run");
    sweep::write_summary(request.summary);
    return Status::ok;
  }
  const std::unique_ptr<Transport> transport = join_cluster();
  const bool leads = transport == nullptr || transport->rank() == 0;
  sweep::Outcome outcome;
  SweepProgress progress(console);
  const auto body = [&](const request::RunContext& run) {
    outcome = sweep::sweep([&] { return read_request(request, words); }, request,
                           {.reporter = progress,
                            .print = run.print,
                            .progress = [&](const sweep::Progress& p) { progress.show(p); },
                            .cancelled = run.cancelled,
                            .cores = run.cores,
                            .temporary_folder = run.temporary_folder,
                            .transport = transport.get()});
  };
  const Status status = run_in_context(console, body);
  progress.clear();
  if (request.dry_run || !leads) return status;
  say_outcome(outcome, request, console);
  return outcome.progress.failed + outcome.failed_before > 0 ? Status::differs : status;
}

Status run(const std::vector<std::string>& arguments, Console& console) {
  const auto mark = std::ranges::find(arguments, "--");
  const std::vector<std::string> own(arguments.begin(), mark);
  const std::vector<std::string> words(mark == arguments.end() ? mark : mark + 1, arguments.end());
  const Table<SweepRequest>& rows = sweep::sweep_table();
  const std::vector<Option> options = request::options_of(rows);
  SweepRequest settings;
  parse_arguments(info(), options, own, [&](std::size_t index, const std::string& text) { rows[index].set(settings, text); });
  if (settings.common.help) {
    console.print(help_text(info(), options));
    return Status::ok;
  }
  if (mark != arguments.end() && words.empty())
    throw Error(Status::usage, "there is no command behind --", "usage: " + info().usage);
  console.configure(settings.common.quiet, settings.common.verbose);
  return execute(settings, words, console);
}

}  // namespace

Command sweep_command() {
  return {.info = info(), .options = [] { return request::options_of(sweep::sweep_table()); }, .run = run};
}

}  // namespace attn::cli
