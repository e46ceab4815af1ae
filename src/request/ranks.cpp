// The processes that share one run. Messages begin with their kind: 'f' a rank failed in a part, 'e' it has ended a part, 'v' how
// the part ended for all, 's' what rank 0 says, 'd' a delivery to it. Fields are separated by zero bytes.
#include "request/ranks.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <thread>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Ends a part on a rank because it failed on another.
class Stopped : public std::exception {};

/// Up to `count` fields of a message; the last one is the rest.
std::vector<std::string> fields_of(std::string_view text, std::size_t count) {
  std::vector<std::string> fields;
  while (fields.size() + 1 < count) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) throw Error(Status::defect, "a message between ranks lacks fields");
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  fields.emplace_back(text);
  return fields;
}

std::string located(const Error& error) {
  const Location& where = error.where();
  std::string text = where.file;
  if (where.line != 0) text += fmt::format(":{}", where.line);
  if (where.column != 0) text += fmt::format(":{}", where.column);
  return text.empty() ? error.what() : fmt::format("{}: {}", text, error.what());
}

}  // namespace

Ranks::Ranks(Transport& transport, const std::atomic<bool>* cancelled)
    : transport_(transport), cancelled_(cancelled), outcomes_(static_cast<std::size_t>(transport.size())) {}

void Ranks::take_messages() {
  int from = 0;
  std::string message;
  while (transport_.receive(from, message)) take(from, message);
}

void Ranks::take(int from, const std::string& message) {
  const char kind = message.empty() ? ' ' : message.front();
  const std::string_view rest = std::string_view(message).substr(message.empty() ? 0 : 1);
  switch (kind) {
    case 'f':
      failed_part_ = std::stoul(std::string(rest));
      return;
    case 's':
      said_.emplace_back(rest);
      return;
    case 'd':
      deliveries_.push_back({from, std::string(rest)});
      return;
    case 'e':
    case 'v': {
      const std::vector<std::string> fields = fields_of(rest, 4);
      Outcome& to = kind == 'v' ? verdict_ : outcomes_[static_cast<std::size_t>(from)];
      to = {.has_ended = true,
            .was_stopped = fields[0] == "stopped",
            .status = static_cast<Status>(std::stoi(fields[1])),
            .text = fields[2],
            .hint = fields[3]};
      return;
    }
    default:
      throw Error(Status::defect, "a message between ranks of an unknown kind");
  }
}

std::string Ranks::text_of(char kind, const Outcome& outcome) const {
  return fmt::format("{}{}{:c}{}{:c}{}{:c}{}", kind, outcome.was_stopped ? "stopped" : "ended", '\0',
                     static_cast<int>(outcome.status), '\0', outcome.text, '\0', outcome.hint);
}

void Ranks::poll() {
  take_messages();
  if (failed_part_ == part_) throw Stopped();
  if (is_cancelled()) throw Error(Status::interrupted, "interrupted");
}

void Ranks::tell_all(const std::string& message) {
  for (int other = 0; other < size(); ++other)
    if (other != rank()) transport_.send(other, message);
}

Ranks::Outcome Ranks::run(const std::function<void()>& part) {
  Outcome own{.has_ended = true};
  try {
    part();
    return own;
  } catch (const Stopped&) {
    own.was_stopped = true;
    return own;
  } catch (const Error& error) {
    own.status = error.status();
    own.text = located(error);
    own.hint = error.hint();
  } catch (const std::bad_alloc&) {
    own.status = Status::memory;
    own.text = "there is not enough memory";
  } catch (const std::exception& error) {
    own.status = Status::defect;
    own.text = error.what();
  }
  tell_all(fmt::format("f{}", part_));
  return own;
}

Ranks::Outcome Ranks::judge() const {
  for (std::size_t rank = 0; rank < outcomes_.size(); ++rank) {
    if (outcomes_[rank].status == Status::ok) continue;
    Outcome verdict = outcomes_[rank];
    if (rank > 0) verdict.text = fmt::format("rank {}: {}", rank, verdict.text);
    return verdict;
  }
  return {.has_ended = true};
}

/// Whoever is to stop does not wait for those that may be gone.
void Ranks::wait_for(const std::function<bool()>& is_there) {
  constexpr auto patience = std::chrono::milliseconds(300);
  std::chrono::steady_clock::time_point since{};
  for (take_messages(); !is_there(); take_messages()) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    if (!is_cancelled()) continue;
    const auto now = std::chrono::steady_clock::now();
    if (since == std::chrono::steady_clock::time_point{}) since = now;
    if (now - since > patience) throw Error(Status::interrupted, "interrupted");
  }
}

Ranks::Outcome Ranks::agree(const Outcome& own) {
  if (!leads()) {
    transport_.send(0, text_of('e', own));
    wait_for([this] { return verdict_.has_ended; });
    return std::exchange(verdict_, {});
  }
  outcomes_[0] = own;
  wait_for([this] { return std::ranges::all_of(outcomes_, &Outcome::has_ended); });
  Outcome verdict = judge();
  for (Outcome& outcome : outcomes_) outcome = {};
  tell_all(text_of('v', verdict));
  return verdict;
}

void Ranks::together(const std::function<void()>& part) {
  ++part_;
  const Outcome verdict = agree(run(part));
  if (verdict.status != Status::ok) throw Error(verdict.status, verdict.text, verdict.hint);
}

void Ranks::say(std::string_view text) { tell_all(fmt::format("s{}", text)); }

std::string Ranks::hear() {
  while (said_.empty()) {
    poll();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  std::string text = std::move(said_.front());
  said_.pop_front();
  return text;
}

void Ranks::deliver(std::string_view bytes) {
  std::string message = "d";
  message += bytes;
  if (leads())
    take(0, message);
  else
    transport_.send(0, message);
}

std::deque<Ranks::Delivery> Ranks::take_deliveries() { return std::exchange(deliveries_, {}); }

}  // namespace attn::request
