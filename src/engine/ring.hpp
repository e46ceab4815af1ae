// One attention on several processes: each has some of the queries, and keys and values pass from one to the next.
#pragma once

#include "base/transport.hpp"
#include "engine/engine.hpp"
#include "engine/ring_share.hpp"

#include <functional>
#include <span>

namespace attn::engine {

/// The other processes.
struct Ring {
  Transport& transport;
  /// Called often, from the thread that walks; may throw to stop the work.
  std::function<void()> poll;
};

/// The part of this process in what run_tiled() does in one (ring attention: Liu, Zaharia and Abbeel 2023): its queries, against
/// keys and values that it reads itself or is sent. Every process calls this with the same plan and the same needs. Spans of keys
/// go round in ascending order and are joined by their running maxima and sums as run_tiled() joins them, so that every row has
/// the bits that it has there, for any number of processes and threads. Columns come head by head, after the rows of the head,
/// and for them the queries go round: each process hands out those of RingShare::columns(), as run_tiled() does. Memory beside
/// the operands: the queries and sums of this rank's blocks of one head, and a few spans of keys and values.
template <class T>
void run_ring(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers, const Execution& execution,
              const Ring& ring);

/// What one process holds beside its operands and what a thread works in.
template <class T>
[[nodiscard]] std::uint64_t ring_bytes(const Plan& plan, int ranks, const Needs& needs);

/// Who computes what in run_ring().
template <class T>
[[nodiscard]] RingShare ring_share(const Plan& plan, int ranks);

}  // namespace attn::engine
