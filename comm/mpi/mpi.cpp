#include "comm/mpi/mpi.h"

#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <exception>
#include <limits>
#include <string>

#include "comm/base/leave.h"

namespace lockstep {

namespace {

void require(int result) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  throw CommError(fmt::format("MPI: {}", std::string_view(text.data(), static_cast<std::size_t>(length))));
}

int as_int(std::size_t bytes) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (bytes > most) {
    throw CommError(
        fmt::format("{} bytes in one call, MPI counts to {}: send it in pieces (for gradients, "
                    "a smaller comm.bucket_mib)",
                    bytes, most));
  }
  return static_cast<int>(bytes);
}

// Counts and displacements as MPI wants them.
struct Pieces {
  Pieces() = default;
  explicit Pieces(const std::vector<std::size_t>& bytes) {
    std::size_t offset = 0;
    for (const std::size_t count : bytes) {
      counts.push_back(as_int(count));
      displacements.push_back(as_int(offset));
      offset += count;
    }
  }
  std::vector<int> counts;
  std::vector<int> displacements;
};

// Owns what MPI reads until the request has finished, and is one of `open` until then. One that failed or
// was dropped early stays open for ever: its handles are abandoned.
class Request final : public Operation {
 public:
  Request(int& open, Pieces sends, Pieces receives)
      : sends_(std::move(sends)), receives_(std::move(receives)), open_(open) {
    ++open_;
  }

  bool poll() override {
    int finished = 0;
    require(MPI_Test(&handle_, &finished, MPI_STATUS_IGNORE));
    if (finished == 0) return false;
    --open_;
    return true;
  }

  MPI_Request* handle() { return &handle_; }
  const Pieces& sends() const { return sends_; }
  const Pieces& receives() const { return receives_; }

 private:
  Pieces sends_;
  Pieces receives_;
  MPI_Request handle_ = MPI_REQUEST_NULL;
  int& open_;
};

struct World {
  int rank = 0;
  int size = 1;
};

World initialize() {
  int provided = 0;
  require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  World world;
  require(MPI_Comm_rank(MPI_COMM_WORLD, &world.rank));
  require(MPI_Comm_size(MPI_COMM_WORLD, &world.size));
  return world;
}

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(World world) : Communicator(world.rank, world.size) {
    for (auto& lane : lanes_) {
      require(MPI_Comm_dup(MPI_COMM_WORLD, &lane));
      require(MPI_Comm_set_errhandler(lane, MPI_ERRORS_RETURN));
    }
  }

  ~MpiCommunicator() override {
    // Finalizing waits for the others, who may be in a collective that this worker left by an exception.
    if (open_ != 0 || std::uncaught_exceptions() != 0) return;
    for (auto& lane : lanes_) MPI_Comm_free(&lane);
    MPI_Finalize();
  }

  std::string_view transport() const override { return "mpi"; }

  [[noreturn]] void abort(ExitCode code) override {
    flush_output();
    // MPI_Abort with 0 would report success.
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code == ExitCode::done ? ExitCode::bug : code));
    leave_process(code);
  }

 protected:
  std::unique_ptr<Operation> start_broadcast(const CallSite& call, std::span<std::byte> data,
                                             int root) override {
    return start(call, {}, {}, [&](MPI_Comm lane, Request& request) {
      return MPI_Ibcast(data.data(), as_int(data.size()), MPI_BYTE, root, lane, request.handle());
    });
  }

  std::unique_ptr<Operation> start_all_gather(const CallSite& call, std::span<const std::byte> mine,
                                              std::span<std::byte> all,
                                              std::vector<std::size_t> byte_counts) override {
    return start(call, {}, byte_counts, [&](MPI_Comm lane, Request& request) {
      return MPI_Iallgatherv(mine.data(), as_int(mine.size()), MPI_BYTE, all.data(),
                             request.receives().counts.data(), request.receives().displacements.data(),
                             MPI_BYTE, lane, request.handle());
    });
  }

  std::unique_ptr<Operation> start_all_to_all(const CallSite& call, std::span<const std::byte> send,
                                              std::vector<std::size_t> send_byte_counts,
                                              std::span<std::byte> receive,
                                              std::vector<std::size_t> receive_byte_counts) override {
    return start(call, send_byte_counts, receive_byte_counts, [&](MPI_Comm lane, Request& request) {
      const Pieces& sends = request.sends();
      const Pieces& receives = request.receives();
      return MPI_Ialltoallv(send.data(), sends.counts.data(), sends.displacements.data(), MPI_BYTE,
                            receive.data(), receives.counts.data(), receives.displacements.data(), MPI_BYTE,
                            lane, request.handle());
    });
  }

  std::unique_ptr<Operation> start_barrier(const CallSite& call) override {
    return start(call, {}, {},
                 [](MPI_Comm lane, Request& request) { return MPI_Ibarrier(lane, request.handle()); });
  }

 private:
  template <class Begin>
  std::unique_ptr<Operation> start(const CallSite& call, const std::vector<std::size_t>& sends,
                                   const std::vector<std::size_t>& receives, const Begin& begin) {
    try {
      auto request = std::make_unique<Request>(open_, Pieces(sends), Pieces(receives));
      require(begin(lanes_[static_cast<std::size_t>(call.lane)], *request));
      return request;
    } catch (const CommError& error) {
      fail(call, error.what());
    }
  }

  std::array<MPI_Comm, lane_count> lanes_{};
  int open_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi() {
  return std::make_unique<MpiCommunicator>(initialize());
}

}  // namespace lockstep
