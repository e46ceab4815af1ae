// Messages between processes by MPI; a module that the program loads when it was started with others.
#include "sweep/transport.hpp"

#include <attn/error.hpp>

#include <limits>
#include <stdexcept>

#include <mpi.h>

namespace {

using attn::Error;
using attn::Status;

/// Throws with MPI's own words.
void check(int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  (void)MPI_Error_string(code, text, &length);
  throw Error(Status::io, std::string("MPI: ") + text);
}

class MpiTransport final : public attn::sweep::Transport {
 public:
  MpiTransport() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  }
  ~MpiTransport() override { (void)MPI_Finalize(); }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  void send(int to, const std::string& message) override {
    if (message.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
      throw Error(Status::defect, "a message between ranks is too long");
    check(MPI_Send(message.data(), static_cast<int>(message.size()), MPI_CHAR, to, 0, MPI_COMM_WORLD));
  }

  [[nodiscard]] bool receive(int& from, std::string& message) override {
    int is_there = 0;
    MPI_Message handle{};
    MPI_Status status{};
    check(MPI_Improbe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &is_there, &handle, &status));
    if (is_there == 0) return false;
    int length = 0;
    check(MPI_Get_count(&status, MPI_CHAR, &length));
    message.resize(static_cast<std::size_t>(length));
    check(MPI_Mrecv(message.data(), length, MPI_CHAR, &handle, &status));
    from = status.MPI_SOURCE;
    return true;
  }

 private:
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

extern "C" attn::sweep::Transport* attn_make_transport() { return new MpiTransport; }
