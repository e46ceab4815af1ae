// Messages between the processes of a cluster; the program brings what carries them (MPI).
#pragma once

#include <string>

namespace attn::sweep {

/// To be used by one thread. Messages from one process to another arrive whole and in order. Functions throw Error(io) when the
/// network says that it failed.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  virtual void send(int to, const std::string& message) = 0;
  /// Takes a message that has arrived; false when there is none.
  [[nodiscard]] virtual bool receive(int& from, std::string& message) = 0;
};

}  // namespace attn::sweep
