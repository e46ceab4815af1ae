// The threads of this process that run runs.
#include "sweep/crew.hpp"

#include <attn/error.hpp>

namespace attn::sweep {

Crew::Crew(const SweepPlan& plan, Worker& worker, std::size_t jobs, Next next, Done done, std::function<void()> failed)
    : next_(std::move(next)), done_(std::move(done)), failed_(std::move(failed)), at_work_(jobs) {
  for (std::size_t i = 0; i < jobs; ++i) threads_.emplace_back([this, &plan, &worker] { work(plan, worker); });
}

void Crew::work(const SweepPlan& plan, Worker& worker) {
  std::exception_ptr mine;
  try {
    while (const std::optional<std::size_t> run = next_()) done_(*run, worker.run(plan.runs[*run]));
  } catch (...) {
    mine = std::current_exception();
    failed_();
  }
  const std::scoped_lock lock(mutex_);
  if (mine && !failure_) failure_ = mine;
  --at_work_;
  ended_.notify_all();
}

bool Crew::wait(std::chrono::microseconds time) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, time, [&] { return at_work_ == 0; });
}

void Crew::rethrow() {
  threads_.clear();
  if (!failure_) return;
  try {
    std::rethrow_exception(failure_);
  } catch (const Error& error) {
    if (error.status() != Status::interrupted) throw;
  }
}

}  // namespace attn::sweep
