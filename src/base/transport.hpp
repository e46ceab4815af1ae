// Messages between the processes of a cluster; the program brings what carries them (MPI).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace attn {

/// To be used by one thread. Messages from one process to another arrive whole and in order. Functions throw Error(io) when the
/// network says that it failed.
class Transport {
 public:
  /// What is under way belongs to the transport, too: whoever gives up may let go of it.
  using Bytes = std::shared_ptr<std::vector<std::byte>>;
  /// A transfer that was started.
  using Ticket = std::uint64_t;

  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  virtual void send(int to, const std::string& message) = 0;
  /// Takes a message that has arrived; false when there is none.
  [[nodiscard]] virtual bool receive(int& from, std::string& message) = 0;

  /// Starts to send the first `size` bytes, and to receive as many; what is sent under a label is received under it. Labels of
  /// transfers from one process to another that are under way at one time differ. Bytes stay as they are until is_done().
  virtual Ticket start_send(int to, int label, Bytes bytes, std::size_t size) = 0;
  virtual Ticket start_receive(int from, int label, Bytes bytes, std::size_t size) = 0;
  /// True once the transfer has ended; to be asked until then, and not after.
  [[nodiscard]] virtual bool is_done(Ticket transfer) = 0;

  /// Labels are below this.
  static constexpr int labels = 16384;
};

}  // namespace attn
