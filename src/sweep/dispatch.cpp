// Hands out the runs of a sweep that are still to be done, and writes down how they went.
#include "sweep/dispatch.hpp"

#include <chrono>

namespace attn::sweep {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Dispatcher::Dispatcher(const SweepPlan& plan, std::vector<std::size_t> wanted, Ledger& ledger,
                       std::function<void(const Json&)> failure)
    : plan_(plan), wanted_(std::move(wanted)), ledger_(ledger), failure_(std::move(failure)), start_(now()) {
  progress_.total = wanted_.size();
  baseline_pending_ = !wanted_.empty() && plan_.baseline && wanted_.front() == *plan_.baseline;
}

bool Dispatcher::is_blocked() const { return baseline_pending_ && handed_out_ == 1; }

std::size_t Dispatcher::take() { return wanted_[handed_out_++]; }

std::optional<std::size_t> Dispatcher::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || handed_out_ == wanted_.size() || !is_blocked(); });
  if (stopped_ || handed_out_ == wanted_.size()) return std::nullopt;
  return take();
}

std::optional<std::size_t> Dispatcher::try_next(bool& wait) {
  const std::scoped_lock lock(mutex_);
  wait = false;
  if (stopped_ || handed_out_ == wanted_.size()) return std::nullopt;
  wait = is_blocked();
  if (wait) return std::nullopt;
  return take();
}

void Dispatcher::done(std::size_t run, const Json& record) {
  const std::scoped_lock lock(mutex_);
  ledger_.append(record);
  ++progress_.done;
  if (record["status"] != "ok") {
    ++progress_.failed;
    failure_(record);
  }
  if (plan_.baseline && run == *plan_.baseline) baseline_pending_ = false;
  changed_.notify_all();
}

void Dispatcher::stop() {
  const std::scoped_lock lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

Progress Dispatcher::progress() const {
  const std::scoped_lock lock(mutex_);
  Progress progress = progress_;
  progress.seconds = now() - start_;
  return progress;
}

bool Dispatcher::finished() const {
  const std::scoped_lock lock(mutex_);
  return progress_.done == progress_.total;
}

}  // namespace attn::sweep
