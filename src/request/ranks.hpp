// The processes that share one run: they begin and end every part of it together, and bring what they found to rank 0.
#pragma once

#include "base/transport.hpp"

#include <attn/error.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::request {

/// To be used by one thread.
class Ranks {
 public:
  /// What is referred to must outlive this; `cancelled` may be null.
  Ranks(Transport& transport, const std::atomic<bool>* cancelled);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks() = default;

  [[nodiscard]] int rank() const { return transport_.rank(); }
  [[nodiscard]] int size() const { return transport_.size(); }
  /// Rank 0 speaks to the user, and gives files their names.
  [[nodiscard]] bool leads() const { return rank() == 0; }
  [[nodiscard]] Transport& transport() noexcept { return transport_; }

  /// Does a part of the work. Returns when all ranks have done theirs. Where it failed on some, all throw the Error of the lowest
  /// of these, which names it; the others leave their part at the next poll(). Throws Error(interrupted) when this process is to
  /// stop and the others do not answer.
  void together(const std::function<void()>& part);
  /// Takes what has come, and throws when another rank has failed in this part, or this process is to stop.
  void poll();

  /// Rank 0 says something, and the others wait for it, in the same order.
  void say(std::string_view text);
  [[nodiscard]] std::string hear();

  /// What rank 0 will find in deliveries() when this part has ended.
  void deliver(std::string_view bytes);
  struct Delivery {
    int from = 0;
    std::string bytes;
  };
  [[nodiscard]] std::deque<Delivery> take_deliveries();

 private:
  /// How a part ended on one rank.
  struct Outcome {
    bool has_ended = false;
    bool was_stopped = false;  ///< because another failed
    Status status = Status::ok;
    std::string text = {};
    std::string hint = {};
  };

  void take_messages();
  void take(int from, const std::string& message);
  [[nodiscard]] Outcome run(const std::function<void()>& part);
  void tell_all(const std::string& message);
  /// The outcome of all, from those of each.
  [[nodiscard]] Outcome judge() const;
  [[nodiscard]] Outcome agree(const Outcome& own);
  void wait_for(const std::function<bool()>& is_there);
  [[nodiscard]] bool is_cancelled() const { return cancelled_ != nullptr && cancelled_->load(); }
  [[nodiscard]] std::string text_of(char kind, const Outcome& outcome) const;

  Transport& transport_;
  const std::atomic<bool>* cancelled_;
  std::size_t part_ = 0;         ///< counted alike on all ranks
  std::size_t failed_part_ = 0;  ///< the last that failed somewhere
  std::vector<Outcome> outcomes_;
  Outcome verdict_;
  std::deque<std::string> said_;
  std::deque<Delivery> deliveries_;
};

}  // namespace attn::request
