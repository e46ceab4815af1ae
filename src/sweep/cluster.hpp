// A sweep over the processes of a cluster: rank 0 has the ledger and hands out runs one by one, to itself too.
#pragma once

#include "base/transport.hpp"
#include "sweep/crew.hpp"
#include "sweep/dispatch.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>

namespace attn::sweep {

/// What a process of a cluster does its part with.
struct Part {
  const SweepPlan& plan;
  Worker& worker;
  std::size_t jobs = 1;
  const std::atomic<bool>* cancelled = nullptr;
};

/// Rank 0: until every run has ended, or `cancelled`. Ranks that planned something else (they see other files) are told to stop,
/// and `excluded` is told why. `tick` is called ten times a second.
void lead(const Part& part, Transport& transport, Dispatcher& dispatcher, const std::function<void(const std::string&)>& excluded,
          const std::function<void()>& tick);

/// The other ranks: runs what rank 0 hands out, until it says that there is no more.
void follow(const Part& part, Transport& transport);

/// A rank that cannot take part says why; returns when rank 0 knows.
void stay_away(Transport& transport, const std::string& reason);
/// Rank 0 cannot begin: all others are told to stop.
void dismiss(Transport& transport);

}  // namespace attn::sweep
