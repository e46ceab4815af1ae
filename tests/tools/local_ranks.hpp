// Several ranks as threads of one test: messages and transfers between them by memory.
#pragma once

#include "base/transport.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace attn::testing {

/// What is on its way between all ranks.
class LocalNetwork {
 public:
  explicit LocalNetwork(int ranks) : messages_(static_cast<std::size_t>(ranks)) {}

  using Way = std::tuple<int, int, int>;  ///< from, to, label

  void send(int from, int to, const std::string& message) {
    const std::scoped_lock lock(mutex_);
    messages_[static_cast<std::size_t>(to)].emplace_back(from, message);
  }
  bool receive(int to, int& from, std::string& message) {
    const std::scoped_lock lock(mutex_);
    auto& queue = messages_[static_cast<std::size_t>(to)];
    if (queue.empty()) return false;
    std::tie(from, message) = std::move(queue.front());
    queue.pop_front();
    return true;
  }
  void put(const Way& way, std::vector<std::byte> bytes) {
    const std::scoped_lock lock(mutex_);
    transfers_[way].push_back(std::move(bytes));
  }
  bool take(const Way& way, std::vector<std::byte>& bytes) {
    const std::scoped_lock lock(mutex_);
    auto& queue = transfers_[way];
    if (queue.empty()) return false;
    bytes = std::move(queue.front());
    queue.pop_front();
    ++taken_;
    return true;
  }
  /// Transfers that have arrived.
  [[nodiscard]] std::size_t taken() {
    const std::scoped_lock lock(mutex_);
    return taken_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::deque<std::pair<int, std::string>>> messages_;
  std::map<Way, std::deque<std::vector<std::byte>>> transfers_;
  std::size_t taken_ = 0;
};

class LocalTransport final : public Transport {
 public:
  LocalTransport(LocalNetwork& network, int rank, int size) : network_(network), rank_(rank), size_(size) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  void send(int to, const std::string& message) override { network_.send(rank_, to, message); }
  [[nodiscard]] bool receive(int& from, std::string& message) override { return network_.receive(rank_, from, message); }

  Ticket start_send(int to, int label, Bytes bytes, std::size_t size) override {
    network_.put({rank_, to, label}, {bytes->begin(), bytes->begin() + static_cast<std::ptrdiff_t>(size)});
    return ++last_;
  }
  Ticket start_receive(int from, int label, Bytes bytes, std::size_t size) override {
    waiting_[++last_] = {{from, rank_, label}, std::move(bytes), size};
    return last_;
  }
  [[nodiscard]] bool is_done(Ticket ticket) override {
    const auto waiting = waiting_.find(ticket);
    if (waiting == waiting_.end()) return true;
    std::vector<std::byte> bytes;
    if (!network_.take(waiting->second.way, bytes)) return false;
    if (bytes.size() != waiting->second.size) throw std::runtime_error("a transfer of another size than expected");
    std::copy(bytes.begin(), bytes.end(), waiting->second.bytes->begin());
    waiting_.erase(waiting);
    return true;
  }

 private:
  struct Receive {
    LocalNetwork::Way way;
    Bytes bytes;
    std::size_t size = 0;
  };
  LocalNetwork& network_;
  int rank_;
  int size_;
  Ticket last_ = 0;
  std::map<Ticket, Receive> waiting_;
};

/// Calls body(transport) for each rank in a thread of its own; returns what each threw, or null, by rank.
inline std::vector<std::exception_ptr> run_ranks(int ranks, const std::function<void(Transport&)>& body,
                                                 std::size_t* transfers = nullptr) {
  LocalNetwork network(ranks);
  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      LocalTransport transport(network, rank, ranks);
      try {
        body(transport);
      } catch (...) {
        thrown[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  if (transfers != nullptr) *transfers = network.taken();
  return thrown;
}

}  // namespace attn::testing
