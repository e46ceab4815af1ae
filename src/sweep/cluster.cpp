// A sweep over the processes of a cluster. Messages are JSON: {"hello": digest}, {"away": reason}, {"want": 1},
// {"done": run, "record": line} and {"bye": 1} to rank 0; {"run": place} and {"stop": 1} from it.
#include "sweep/cluster.hpp"

#include <attn/error.hpp>

#include <deque>
#include <vector>

#include <fmt/format.h>

namespace attn::sweep {

namespace {

constexpr std::chrono::microseconds kPause{300};

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && flag->load(); }

std::string text_of(const Json& message) { return message.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json read_message(const std::string& text) {
  Json message = Json::parse(text, nullptr, false);
  if (!message.is_object()) throw Error(Status::defect, "a message between ranks is no JSON object");
  return message;
}

/// What rank 0 knows of the others.
class Leader {
 public:
  Leader(const Part& part, Transport& transport, Dispatcher& dispatcher, const std::function<void(const std::string&)>& excluded)
      : transport_(transport),
        dispatcher_(dispatcher),
        excluded_(excluded),
        digest_(part.plan.digest()),
        is_present_(static_cast<std::size_t>(transport.size()), true),
        is_told_(static_cast<std::size_t>(transport.size()), false),
        present_(static_cast<std::size_t>(transport.size()) - 1) {}

  /// True when something came.
  bool take_messages() {
    int from = 0;
    std::string text;
    bool any = false;
    while (transport_.receive(from, text)) {
      any = true;
      take(from, read_message(text));
    }
    return any;
  }

  void answer() {
    std::deque<int> still;
    for (const int rank : waiting_) {
      bool wait = false;
      const std::optional<std::size_t> run = dispatcher_.try_next(wait);
      if (run)
        transport_.send(rank, text_of({{"run", *run}}));
      else if (wait)
        still.push_back(rank);
      else
        stop(rank);
    }
    waiting_ = std::move(still);
  }

  [[nodiscard]] bool is_alone() const noexcept { return present_ == 0; }

 private:
  void take(int from, const Json& message) {
    if (message.contains("hello") && message["hello"] != digest_) {
      exclude(from, "it has planned other runs: it sees other inputs, or another version of attn");
    } else if (message.contains("away")) {
      exclude(from, message["away"].get<std::string>());
    } else if (message.contains("want")) {
      waiting_.push_back(from);
    } else if (message.contains("done")) {
      dispatcher_.done(message["done"].get<std::size_t>(), message["record"]);
    } else if (message.contains("bye")) {
      leave(from);
    }
  }

  void exclude(int rank, const std::string& reason) {
    excluded_(fmt::format("rank {} takes no part: {}", rank, reason));
    stop(rank);
  }

  void stop(int rank) {
    if (is_told_[static_cast<std::size_t>(rank)]) return;
    is_told_[static_cast<std::size_t>(rank)] = true;
    transport_.send(rank, text_of({{"stop", 1}}));
  }

  void leave(int rank) {
    if (!is_present_[static_cast<std::size_t>(rank)]) return;
    is_present_[static_cast<std::size_t>(rank)] = false;
    --present_;
  }

  Transport& transport_;
  Dispatcher& dispatcher_;
  const std::function<void(const std::string&)>& excluded_;
  std::string digest_;
  std::vector<bool> is_present_;
  std::vector<bool> is_told_;
  std::size_t present_;
  std::deque<int> waiting_;
};

/// What the threads of a follower have between them and the messages.
class Desk {
 public:
  std::optional<std::size_t> next() {
    std::unique_lock lock(mutex_);
    ++wanted_;
    changed_.wait(lock, [&] { return is_closed_ || !runs_.empty(); });
    if (runs_.empty()) return std::nullopt;
    const std::size_t run = runs_.front();
    runs_.pop_front();
    return run;
  }
  void put(std::size_t run) {
    const std::scoped_lock lock(mutex_);
    runs_.push_back(run);
    changed_.notify_one();
  }
  void close(bool drops_runs) {
    const std::scoped_lock lock(mutex_);
    is_closed_ = true;
    if (drops_runs) runs_.clear();
    changed_.notify_all();
  }
  void done(std::size_t run, Json record) {
    const std::scoped_lock lock(mutex_);
    messages_.push_back(text_of({{"done", run}, {"record", std::move(record)}}));
  }
  /// What is to be sent: finished runs first, then what is wanted.
  std::vector<std::string> take_messages() {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> messages = std::move(messages_);
    messages_.clear();
    for (; wanted_ > 0; --wanted_) messages.push_back(text_of({{"want", 1}}));
    return messages;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::size_t> runs_;
  std::vector<std::string> messages_;
  std::size_t wanted_ = 0;
  bool is_closed_ = false;
};

}  // namespace

void lead(const Part& part, Transport& transport, Dispatcher& dispatcher, const std::function<void(const std::string&)>& excluded,
          const std::function<void()>& tick) {
  Leader leader(part, transport, dispatcher, excluded);
  Crew crew(
      part.plan, part.worker, part.jobs, [&] { return dispatcher.next(); },
      [&](std::size_t run, const Json& record) { dispatcher.done(run, record); }, [&] { dispatcher.stop(); });
  auto next_tick = std::chrono::steady_clock::now();
  bool is_over = false;
  while (!is_over || !leader.is_alone()) {
    if (is_set(part.cancelled)) dispatcher.stop();
    const bool any = leader.take_messages();
    leader.answer();
    is_over = crew.wait(any ? std::chrono::microseconds(0) : kPause);
    if (is_over && !any) std::this_thread::sleep_for(kPause);
    if (const auto now = std::chrono::steady_clock::now(); now >= next_tick) {
      tick();
      next_tick = now + std::chrono::milliseconds(100);
    }
  }
  crew.rethrow();
}

void follow(const Part& part, Transport& transport) {
  Desk desk;
  transport.send(0, text_of({{"hello", part.plan.digest()}}));
  Crew crew(
      part.plan, part.worker, part.jobs, [&] { return desk.next(); },
      [&](std::size_t run, Json record) { desk.done(run, std::move(record)); }, [&] { desk.close(true); });
  bool is_over = false;
  while (!is_over) {
    int from = 0;
    std::string text;
    while (transport.receive(from, text)) {
      const Json message = read_message(text);
      if (message.contains("run")) desk.put(message["run"].get<std::size_t>());
      if (message.contains("stop")) desk.close(false);
    }
    if (is_set(part.cancelled)) desk.close(true);
    is_over = crew.wait(kPause);
    for (const std::string& message : desk.take_messages()) transport.send(0, message);
  }
  transport.send(0, text_of({{"bye", 1}}));
  crew.rethrow();
}

void stay_away(Transport& transport, const std::string& reason) {
  transport.send(0, text_of({{"away", reason}}));
  int from = 0;
  for (std::string text; !transport.receive(from, text) || !read_message(text).contains("stop");)
    std::this_thread::sleep_for(kPause);
  transport.send(0, text_of({{"bye", 1}}));
}

void dismiss(Transport& transport) {
  std::vector<bool> is_told(static_cast<std::size_t>(transport.size()), false);
  int present = transport.size() - 1;
  for (int from = 0; present > 0;) {
    std::string text;
    if (!transport.receive(from, text)) {
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (!is_told[static_cast<std::size_t>(from)]) transport.send(from, text_of({{"stop", 1}}));
    is_told[static_cast<std::size_t>(from)] = true;
    if (read_message(text).contains("bye")) --present;
  }
}

}  // namespace attn::sweep
