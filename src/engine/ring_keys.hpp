// Spans of keys and values on their way round the ring, a few of them ahead of the work.
#pragma once

#include "engine/ring.hpp"
#include "engine/tiled_walk.hpp"

#include <cstddef>
#include <deque>
#include <vector>

namespace attn::engine {

/// To be used by one thread. Step after step: wait(), the work on it, next(); poll() in between keeps what passes by moving.
template <class T>
class RingKeys {
 public:
  /// What is referred to must outlive this.
  RingKeys(const Operands<T>& operands, const Dims& dims, const Ring& ring, const std::vector<RingStep>& steps);

  /// The first step that next() has not ended. Steps must be left.
  [[nodiscard]] const RingStep& step() const { return steps_[at_]; }
  [[nodiscard]] bool is_over() const noexcept { return at_ == steps_.size(); }
  /// The keys of step(), once they are here.
  [[nodiscard]] KeySpan<T> wait();
  void next();
  /// Spans in memory at one time.
  static constexpr std::size_t most_spans = 6;
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
  /// Spans that are read or asked for before their turn.
  static constexpr std::size_t ahead = 2;
  /// Spans that are kept for others at most, beside those.
  static constexpr std::size_t most_behind = 2;

  void begin();
  void advance(Slot& slot);
  void pause();
  [[nodiscard]] std::size_t elements(const RingStep& step) const noexcept;
  [[nodiscard]] Transport::Bytes free_bytes(std::size_t size);
  void read(const RingStep& step, T* to) const;
  [[nodiscard]] static int label_of(const RingStep& step) noexcept;

  const Operands<T>& operands_;
  const Dims& dims_;
  const Ring& ring_;
  const std::vector<RingStep>& steps_;
  std::size_t at_ = 0;
  std::size_t begun_ = 0;   ///< steps before this one have slots, or had
  std::deque<Slot> slots_;  ///< in the order of their steps
  std::vector<Transport::Bytes> memory_;
};

}  // namespace attn::engine
