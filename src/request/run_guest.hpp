// What looks at a run beside the files it writes: a sweep that gathers numbers from many runs.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "request/option.hpp"

#include <attn/array.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace attn::request {

/// All values of some settings, by the names of their options.
using NamedValues = std::vector<std::pair<std::string, OptionValue>>;
template <class S>
[[nodiscard]] NamedValues values_of(const Table<S>& table, const S& settings) {
  NamedValues all;
  for (const Row<S>& r : table) all.emplace_back(r.option.name, r.get(settings));
  return all;
}

/// All members are called from the thread of the run, in this order; observers as the engine calls observers.
class RunGuest {
 public:
  RunGuest() = default;
  RunGuest(const RunGuest&) = delete;
  RunGuest& operator=(const RunGuest&) = delete;
  virtual ~RunGuest() = default;

  /// The options with everything decided that they left open (engine, type, scale, threads), and the vector instructions that
  /// the walk will use ("none" for the reference engine).
  virtual void resolved(const NamedValues& /*options*/, const std::string& /*isa*/) {}
  /// Instead of the text of a dry run: bytes held in memory at most, and expected seconds.
  virtual void planned(std::uint64_t /*bytes*/, double /*seconds*/) {}
  /// An observer for the walk, which the guest owns, or null. `plan` lives as long as the walk. Layers ask for none.
  virtual engine::Observer<float>* watch(const engine::Plan& /*plan*/, float /*type*/) { return nullptr; }
  virtual engine::Observer<double>* watch(const engine::Plan& /*plan*/, double /*type*/) { return nullptr; }
  /// The finished output in the layout it is written in; a view that is valid during the call.
  virtual void output(const Array& /*output*/) {}
};

}  // namespace attn::request
