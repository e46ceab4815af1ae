// What goes round the ring, a few pieces of it ahead of the work: spans of keys and values, or blocks of queries.
#pragma once

#include "engine/ring.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

namespace attn::engine {

/// What the steps of a queue carry.
template <class T>
struct RingCargo {
  std::function<std::size_t(const RingStep&)> elements;
  std::function<void(const RingStep&, T*)> read;  ///< on the rank that a step begins with
  /// Transfers of two queues that are under way at one time have labels of their own.
  int first_label = 0;

  static constexpr int labels = Transport::labels / 2;
};

/// To be used by one thread. Step after step: wait(), the work on it, next(); poll() in between keeps what passes by moving.
template <class T>
class RingQueue {
 public:
  /// What is referred to must outlive this.
  RingQueue(const Ring& ring, const std::vector<RingStep>& steps, RingCargo<T> cargo);

  /// The first step that next() has not ended. Steps must be left.
  [[nodiscard]] const RingStep& step() const { return steps_[at_]; }
  [[nodiscard]] bool is_over() const noexcept { return at_ == steps_.size(); }
  /// What step() carries, once it is here.
  [[nodiscard]] const T* wait();
  void next();
  /// Pieces in memory at one time.
  static constexpr std::size_t most_pieces = 6;
  void poll();
  /// Returns when everything has been passed on.
  void finish();

 private:
  struct Slot {
    std::size_t step = 0;
    Transport::Bytes bytes;
    Transport::Ticket receiving = 0;
    Transport::Ticket sending = 0;
    bool is_here = false;
    bool is_sending = false;
    [[nodiscard]] bool is_busy() const noexcept { return !is_here || is_sending; }
  };
  /// Pieces that are read or asked for before their turn.
  static constexpr std::size_t ahead = 2;
  /// Pieces that are kept for others at most, beside those.
  static constexpr std::size_t most_behind = 2;

  void begin();
  void advance(Slot& slot);
  void pause();
  [[nodiscard]] std::size_t bytes_of(const RingStep& step) const { return cargo_.elements(step) * sizeof(T); }
  [[nodiscard]] Transport::Bytes free_bytes(std::size_t size);
  [[nodiscard]] int label_of(const RingStep& step) const noexcept;

  const Ring& ring_;
  const std::vector<RingStep>& steps_;
  RingCargo<T> cargo_;
  std::size_t at_ = 0;
  std::size_t begun_ = 0;   ///< steps before this one have slots, or had
  std::deque<Slot> slots_;  ///< in the order of their steps
  std::vector<Transport::Bytes> memory_;
};

}  // namespace attn::engine
