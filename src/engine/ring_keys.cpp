// Spans of keys and values on their way round the ring.
#include "engine/ring_keys.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace attn::engine {

template <class T>
RingKeys<T>::RingKeys(const Operands<T>& operands, const Dims& dims, const Ring& ring, const std::vector<RingStep>& steps)
    : operands_(operands), dims_(dims), ring_(ring), steps_(steps) {
  begin();
}

template <class T>
std::size_t RingKeys<T>::elements(const RingStep& step) const noexcept {
  return (step.keys.end - step.keys.begin) * (dims_.head_dim + (step.with_values ? dims_.value_dim : 0));
}

template <class T>
int RingKeys<T>::label_of(const RingStep& step) noexcept {
  return static_cast<int>(step.number % static_cast<std::uint64_t>(Transport::labels));
}

/// Memory that no transfer uses.
template <class T>
Transport::Bytes RingKeys<T>::free_bytes(std::size_t size) {
  const auto is_free = [](const Transport::Bytes& bytes) { return bytes.use_count() == 1; };
  auto found = std::ranges::find_if(memory_, is_free);
  if (found == memory_.end()) found = memory_.insert(found, std::make_shared<std::vector<std::byte>>());
  if ((*found)->size() < size) (*found)->resize(size);
  return *found;
}

template <class T>
void RingKeys<T>::read(const RingStep& step, T* to) const {
  const std::size_t count = step.keys.end - step.keys.begin;
  operands_.key.make(step.batch, step.kv_head, step.keys.begin, count, to);
  if (step.with_values) operands_.value.make(step.batch, step.kv_head, step.keys.begin, count, to + count * dims_.head_dim);
}

/// Starts the steps that are soon to come. A rank that waits here has all earlier steps under way, so the rank that is furthest
/// behind never waits for one that waits for it.
template <class T>
void RingKeys<T>::begin() {
  for (; begun_ < steps_.size() && begun_ <= at_ + ahead; ++begun_) {
    const RingStep& step = steps_[begun_];
    const std::size_t size = elements(step) * sizeof(T);
    Slot slot{.step = begun_, .bytes = free_bytes(size)};
    if (step.from == RingStep::nobody) {
      // A vector's memory is aligned for any number.
      read(step, reinterpret_cast<T*>(slot.bytes->data()));  // NOLINT(*-reinterpret-cast)
      slot.is_here = true;
      if (step.to != RingStep::nobody) {
        slot.sending = ring_.transport.start_send(step.to, label_of(step), slot.bytes, size);
        slot.is_sending = true;
      }
    } else {
      slot.receiving = ring_.transport.start_receive(step.from, label_of(step), slot.bytes, size);
    }
    slots_.push_back(std::move(slot));
  }
}

template <class T>
void RingKeys<T>::advance(Slot& slot) {
  const RingStep& step = steps_[slot.step];
  if (!slot.is_here && ring_.transport.is_done(slot.receiving)) {
    slot.is_here = true;
    if (step.to != RingStep::nobody) {
      slot.sending = ring_.transport.start_send(step.to, label_of(step), slot.bytes, elements(step) * sizeof(T));
      slot.is_sending = true;
    }
  }
  if (slot.is_sending && ring_.transport.is_done(slot.sending)) slot.is_sending = false;
}

template <class T>
void RingKeys<T>::poll() {
  for (Slot& slot : slots_)
    if (slot.is_busy()) advance(slot);
  std::erase_if(slots_, [this](const Slot& slot) { return slot.step < at_ && !slot.is_busy(); });
  ring_.poll();
}

template <class T>
void RingKeys<T>::pause() {
  poll();
  // Ranks may be more than cores: who waits must let the others work.
  std::this_thread::yield();
}

template <class T>
KeySpan<T> RingKeys<T>::wait() {
  const auto slot = [this] { return std::ranges::find(slots_, at_, &Slot::step); };
  while (!slot()->is_here) pause();
  const RingStep& own = step();
  const auto* rows = reinterpret_cast<const T*>(slot()->bytes->data());  // NOLINT(*-reinterpret-cast)
  KeySpan<T> span{.keys = own.keys, .key = {rows, dims_.head_dim}, .value = {}};
  if (own.with_values) span.value = {rows + (own.keys.end - own.keys.begin) * dims_.head_dim, dims_.value_dim};
  return span;
}

template <class T>
void RingKeys<T>::next() {
  ++at_;
  poll();
  while (slots_.size() > ahead + most_behind) pause();
  begin();
}

template <class T>
void RingKeys<T>::finish() {
  while (!slots_.empty()) pause();
}

template class RingKeys<float>;
template class RingKeys<double>;

}  // namespace attn::engine
