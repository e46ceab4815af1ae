// What goes round the ring, on its way.
#include "engine/ring_queue.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace attn::engine {

template <class T>
RingQueue<T>::RingQueue(const Ring& ring, const std::vector<RingStep>& steps, RingCargo<T> cargo)
    : ring_(ring), steps_(steps), cargo_(std::move(cargo)) {
  begin();
}

template <class T>
int RingQueue<T>::label_of(const RingStep& step) const noexcept {
  return cargo_.first_label + static_cast<int>(step.number % static_cast<std::uint64_t>(RingCargo<T>::labels));
}

/// Memory that no transfer uses.
template <class T>
Transport::Bytes RingQueue<T>::free_bytes(std::size_t size) {
  const auto is_free = [](const Transport::Bytes& bytes) { return bytes.use_count() == 1; };
  auto found = std::ranges::find_if(memory_, is_free);
  if (found == memory_.end()) found = memory_.insert(found, std::make_shared<std::vector<std::byte>>());
  if ((*found)->size() < size) (*found)->resize(size);
  return *found;
}

/// Starts the steps that are soon to come. A rank that waits here has all earlier steps under way, so the rank that is furthest
/// behind never waits for one that waits for it.
template <class T>
void RingQueue<T>::begin() {
  for (; begun_ < steps_.size() && begun_ <= at_ + ahead; ++begun_) {
    const RingStep& step = steps_[begun_];
    const std::size_t size = bytes_of(step);
    Slot slot{.step = begun_, .bytes = free_bytes(size)};
    if (step.from == RingStep::nobody) {
      // A vector's memory is aligned for any number.
      cargo_.read(step, reinterpret_cast<T*>(slot.bytes->data()));  // NOLINT(*-reinterpret-cast)
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
void RingQueue<T>::advance(Slot& slot) {
  const RingStep& step = steps_[slot.step];
  if (!slot.is_here && ring_.transport.is_done(slot.receiving)) {
    slot.is_here = true;
    if (step.to != RingStep::nobody) {
      slot.sending = ring_.transport.start_send(step.to, label_of(step), slot.bytes, bytes_of(step));
      slot.is_sending = true;
    }
  }
  if (slot.is_sending && ring_.transport.is_done(slot.sending)) slot.is_sending = false;
}

template <class T>
void RingQueue<T>::poll() {
  for (Slot& slot : slots_)
    if (slot.is_busy()) advance(slot);
  std::erase_if(slots_, [this](const Slot& slot) { return slot.step < at_ && !slot.is_busy(); });
  ring_.poll();
}

template <class T>
void RingQueue<T>::pause() {
  poll();
  // Ranks may be more than cores: who waits must let the others work.
  std::this_thread::yield();
}

template <class T>
const T* RingQueue<T>::wait() {
  const auto slot = [this] { return std::ranges::find(slots_, at_, &Slot::step); };
  while (!slot()->is_here) pause();
  return reinterpret_cast<const T*>(slot()->bytes->data());  // NOLINT(*-reinterpret-cast)
}

template <class T>
void RingQueue<T>::next() {
  ++at_;
  poll();
  while (slots_.size() > ahead + most_behind) pause();
  begin();
}

template <class T>
void RingQueue<T>::finish() {
  while (!slots_.empty()) pause();
}

template class RingQueue<float>;
template class RingQueue<double>;

}  // namespace attn::engine
