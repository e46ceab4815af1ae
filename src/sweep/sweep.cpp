// A sweep from its specification to the ledger.
#include "sweep/sweep.hpp"

#include "request/estimate.hpp"
#include "sweep/cluster.hpp"
#include "sweep/summary.hpp"
#include "sweep/worker.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::sweep {

namespace {

bool is_cancelled(const SweepContext& context) { return context.cancelled != nullptr && context.cancelled->load(); }

[[noreturn]] void throw_interrupted() { throw Error(Status::interrupted, "interrupted"); }

/// What is still to be done, and what is known of the rest.
struct Todo {
  std::vector<std::size_t> wanted;  ///< places in plan.runs
  std::vector<std::string> again;   ///< ids that have a line which no longer counts
  std::size_t skipped = 0;
  std::size_t failed_before = 0;
};

Todo find_todo(const SweepPlan& plan, const Shard& shard, const SweepRequest& request) {
  const std::map<std::string, Json> records = read_ledgers(request.folder);
  Todo todo;
  const auto is_done = [&](const std::string& id) {
    const auto record = records.find(id);
    return record != records.end() && record->second["status"] == "ok" && outputs_are_there(record->second, request.folder);
  };
  for (std::size_t place = 0; place < plan.runs.size(); ++place) {
    const std::string& id = plan.runs[place].id;
    const bool is_here = shard.has(place);
    if (is_done(id)) {
      todo.skipped += is_here ? 1U : 0U;
      continue;
    }
    const auto record = records.find(id);
    const bool has_failed = record != records.end() && record->second["status"] != "ok";
    // Without the baseline no part of a sweep has anything to compare with.
    const bool is_needed = is_here || plan.baseline == place;
    if (!is_needed) continue;
    if (has_failed && !request.retry_failed) {
      ++todo.failed_before;
      continue;
    }
    if (record != records.end()) todo.again.push_back(id);
    todo.wanted.push_back(place);
  }
  if (plan.baseline) std::ranges::stable_partition(todo.wanted, [&](std::size_t place) { return place == *plan.baseline; });
  return todo;
}

std::string settings_text(const PlannedRun& run, const std::vector<std::string>& shown) {
  std::vector<std::string> parts;
  for (const Setting& setting : run.settings)
    if (std::ranges::find(shown, setting.option) != shown.end())
      parts.push_back(fmt::format("{}={}", setting.option, fmt::join(setting.texts, ",")));
  return fmt::format("{}", fmt::join(parts, " "));
}

/// Options that tell runs apart: those of the grid and of cases.
std::vector<std::string> telling_options(const Spec& spec) {
  std::vector<std::string> names;
  for (const Axis& axis : spec.grid) names.push_back(axis.option);
  for (const Case& one : spec.cases)
    for (const Setting& setting : one.settings)
      if (std::ranges::find(names, setting.option) == names.end()) names.push_back(setting.option);
  return names;
}

void print_plan(const SweepPlan& plan, const Todo& todo, Worker& worker, std::size_t jobs, const SweepContext& context) {
  const std::vector<std::string> shown = telling_options(plan.spec);
  double seconds = 0;
  std::uint64_t largest = 0;
  context.print("number id               bytes      seconds    options\n");
  for (const std::size_t place : todo.wanted) {
    if (is_cancelled(context)) throw_interrupted();
    const PlannedRun& run = plan.runs[place];
    const Expectation expected = worker.expect(run);
    const std::string what = settings_text(run, shown);
    if (!expected.error.empty()) {
      context.print(fmt::format("{:<6} {} would fail: {}    {}\n", run.number, run.id, expected.error, what));
      continue;
    }
    seconds += expected.seconds;
    largest = std::max(largest, expected.bytes);
    context.print(fmt::format("{:<6} {} {:<10} {:<10.3g} {}\n", run.number, run.id, request::byte_text(expected.bytes),
                              expected.seconds, what));
  }
  context.print(
      fmt::format("{} runs to do, {} done before, {} failed before; the largest needs {}; about {:.3g} seconds of {} at a time\n",
                  todo.wanted.size(), todo.skipped, todo.failed_before, request::byte_text(largest), seconds, jobs));
}

void work_here(const Part& part, Dispatcher& dispatcher, const std::function<void()>& tick) {
  Crew crew(
      part.plan, part.worker, part.jobs, [&] { return dispatcher.next(); },
      [&](std::size_t run, const Json& record) { dispatcher.done(run, record); }, [&] { dispatcher.stop(); });
  while (!crew.wait(std::chrono::milliseconds(100))) {
    if (part.cancelled != nullptr && part.cancelled->load()) dispatcher.stop();
    tick();
  }
  crew.rethrow();
}

void report_failure(const Json& record, const std::vector<std::string>& shown, Reporter& reporter) {
  std::string what;
  for (const std::string& option : shown) {
    const auto& options = record["options"];
    if (options.is_object() && options.contains(option))
      what += fmt::format(" {}={}", option,
                          options[option].is_string() ? options[option].get<std::string>() : options[option].dump());
  }
  reporter.warn(fmt::format("run {}{} failed: {}", record["id"].get<std::string>(), what, record["error"].get<std::string>()));
}

/// What a process knows before the first run.
struct Prepared {
  InputDigests digests;
  SweepPlan plan;
  std::unique_ptr<Worker> worker;
  std::size_t jobs = 1;
};

void prepare(Prepared& to, const std::function<Spec()>& read_spec, const SweepRequest& request, const SweepContext& context) {
  if (request.folder.empty())
    throw Error(Status::usage, "a sweep needs a folder for its ledger and its outputs", "attn sweep spec.toml -o DIR");
  constexpr std::size_t most_jobs = 4096;
  if (request.jobs > most_jobs)
    throw Error(Status::usage, fmt::format("--jobs {}: more than {} threads do not help", request.jobs, most_jobs));
  to.plan = plan_runs(read_spec(), to.digests);
  const std::size_t cores = std::max<std::size_t>(context.cores, 1);
  to.jobs = request.jobs == 0 ? cores : request.jobs;
  std::optional<int> rank;
  if (context.transport != nullptr) rank = context.transport->rank();
  to.worker = std::make_unique<Worker>(to.plan, to.digests,
                                       WorkerSettings{.folder = request.folder,
                                                      .threads = std::max<std::size_t>(cores / to.jobs, 1),
                                                      .cancelled = context.cancelled,
                                                      .temporary_folder = context.temporary_folder,
                                                      .rank = rank});
}

/// A rank that does not lead.
void take_part(const std::function<Spec()>& read_spec, const SweepRequest& request, const SweepContext& context) {
  Prepared own;
  try {
    prepare(own, read_spec, request, context);
  } catch (const Error& error) {
    return stay_away(*context.transport, error.what());
  }
  follow({.plan = own.plan, .worker = *own.worker, .jobs = own.jobs, .cancelled = context.cancelled}, *context.transport);
}

/// Ledger and runs that are to be done, for the process that writes them down.
struct Books {
  std::unique_ptr<Ledger> ledger;
  Todo todo;
};

Books open_books(const SweepPlan& plan, const Shard& shard, const SweepRequest& request, const SweepContext& context) {
  Books books;
  if (plan.repeated > 0)
    context.reporter.warn(fmt::format("{} combinations mean the same as others and are run once", plan.repeated));
  books.ledger = std::make_unique<Ledger>(request.folder, shard, [&, is_told = false]() mutable {
    if (is_cancelled(context)) throw_interrupted();
    if (!is_told)
      context.reporter.warn(fmt::format("another attn sweep is at work in {}: waiting for it to end", request.folder));
    is_told = true;
  });
  books.todo = find_todo(plan, shard, request);
  books.ledger->forget(books.todo.again);
  return books;
}

Outcome run_all(const Part& part, Books& books, const SweepRequest& request, const SweepContext& context) {
  const std::vector<std::string> shown = telling_options(part.plan.spec);
  Dispatcher dispatcher(part.plan, books.todo.wanted, *books.ledger,
                        [&](const Json& record) { report_failure(record, shown, context.reporter); });
  const auto tick = [&] { context.progress(dispatcher.progress()); };
  if (context.transport != nullptr)
    lead(
        part, *context.transport, dispatcher, [&](const std::string& why) { context.reporter.warn(why); }, tick);
  else
    work_here(part, dispatcher, tick);
  books.ledger->flush();
  if (!read_ledgers(request.folder).empty()) write_summary(request.folder);
  if (is_cancelled(context)) throw_interrupted();
  if (!dispatcher.finished())
    throw Error(Status::io, "not all runs came back: a process that had one has ended", "the next call runs what is missing");
  return {.progress = dispatcher.progress(), .skipped = books.todo.skipped, .failed_before = books.todo.failed_before};
}

}  // namespace

Spec complete_spec(Spec spec, const SweepRequest& request) {
  for (const std::string& text : request.grid) add_grid(spec, text);
  for (const std::string& text : request.keep) add_keep(spec, text);
  if (!request.compare.empty()) {
    if (!spec.compare) spec.compare.emplace();
    spec.compare->with = request.compare;
  }
  return spec;
}

Outcome sweep(const std::function<Spec()>& read_spec, const SweepRequest& request, const SweepContext& context) {
  if (context.transport != nullptr && context.transport->rank() > 0) {
    take_part(read_spec, request, context);
    return {};
  }
  Prepared own;
  Books books;
  try {
    const Shard shard = request.shard.empty() ? Shard{} : read_shard(request.shard);
    prepare(own, read_spec, request, context);
    if (request.dry_run)
      print_plan(own.plan, find_todo(own.plan, shard, request), *own.worker, own.jobs, context);
    else
      books = open_books(own.plan, shard, request, context);
  } catch (...) {
    if (context.transport != nullptr) dismiss(*context.transport);
    throw;
  }
  if (request.dry_run) {
    if (context.transport != nullptr) dismiss(*context.transport);
    return {};
  }
  return run_all({.plan = own.plan, .worker = *own.worker, .jobs = own.jobs, .cancelled = context.cancelled}, books, request,
                 context);
}

}  // namespace attn::sweep
