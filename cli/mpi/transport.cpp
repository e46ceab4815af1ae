// Messages between processes by MPI; a module that the program loads when it was started with others.
#include "base/transport.hpp"

#include <attn/error.hpp>

#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

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

class MpiTransport final : public attn::Transport {
 public:
  MpiTransport() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  }
  ~MpiTransport() override {
    // After a failure transfers may be under way that nobody waits for.
    for (auto& [ticket, transfer] : transfers_) {
      if (transfer.is_receive) (void)MPI_Cancel(&transfer.request);
      (void)MPI_Request_free(&transfer.request);
    }
    (void)MPI_Finalize();
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  void send(int to, const std::string& message) override {
    check(MPI_Send(message.data(), length_of(message.size()), MPI_CHAR, to, 0, MPI_COMM_WORLD));
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

  Ticket start_send(int to, int label, Bytes bytes, std::size_t size) override {
    MPI_Request request{};
    check(MPI_Isend(bytes->data(), length_of(size), MPI_BYTE, to, label + 1, MPI_COMM_WORLD, &request));
    return keep({request, std::move(bytes), false});  // NOLINT(clang-analyzer-optin.mpi.MPI-Checker): is_done() waits
  }

  Ticket start_receive(int from, int label, Bytes bytes, std::size_t size) override {
    MPI_Request request{};
    check(MPI_Irecv(bytes->data(), length_of(size), MPI_BYTE, from, label + 1, MPI_COMM_WORLD, &request));
    return keep({request, std::move(bytes), true});  // NOLINT(clang-analyzer-optin.mpi.MPI-Checker): is_done() waits
  }

  [[nodiscard]] bool is_done(Ticket ticket) override {
    const auto transfer = transfers_.find(ticket);
    if (transfer == transfers_.end()) throw Error(Status::defect, "a transfer between ranks that nobody has started");
    int is_over = 0;
    check(MPI_Test(&transfer->second.request, &is_over, MPI_STATUS_IGNORE));
    if (is_over != 0) transfers_.erase(transfer);
    return is_over != 0;
  }

 private:
  struct Transfer {
    MPI_Request request;
    Bytes bytes;
    bool is_receive;
  };

  static int length_of(std::size_t size) {
    if (size > static_cast<std::size_t>(std::numeric_limits<int>::max()))
      throw Error(Status::defect, "a message between ranks is too long");
    return static_cast<int>(size);
  }

  Ticket keep(Transfer transfer) {
    transfers_.emplace(++last_, std::move(transfer));
    return last_;
  }

  std::map<Ticket, Transfer> transfers_;
  Ticket last_ = 0;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

extern "C" attn::Transport* attn_make_transport() { return new MpiTransport; }
