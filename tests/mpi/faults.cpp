#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "comm/base/leave.h"
#include "comm/mpi/mpi.h"
#include "comm/nccl/nccl.h"
#include "trainer/loop/workers.h"

// Rank 1 fails in the way that the argument names while the others wait for it; with `nccl` behind it, in
// calls of NCCL beside MPI.

namespace lockstep::test {
namespace {

// Which NCCL has, or else the one that blocks.
Lane lane = Lane::statistics;

template <class T>
void gather(Communicator& comm, std::string_view name, std::span<const std::size_t> counts) {
  const std::vector<T> mine(counts[static_cast<std::size_t>(comm.rank())]);
  std::vector<T> all(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
  comm.all_gather(lane, name, std::span(mine), std::span(all), counts).wait();
}

void wait_for_the_other(Communicator& comm) {
  comm.set_phase("step 7 forward");
  comm.barrier(lane, "start").wait();
  gather<double>(comm, "moments", std::vector<std::size_t>(static_cast<std::size_t>(comm.size()), 1));
}

// Too much to be under way without somebody who takes it.
void send_much(Communicator& comm) {
  comm.set_phase("step 7 forward");
  comm.barrier(lane, "start").wait();
  std::vector<double> much(1 << 20);
  comm.broadcast(lane, "weights", std::span(much), 0).wait();
}

void fail(Communicator& comm, std::string_view how) {
  comm.barrier(lane, "start").wait();
  if (how == "late_worker" || how == "takes_nothing") sleep(60);
  if (how == "exception") throw DataError("rank 1 could not go on");
  if (how == "abort") comm.abort(ExitCode::data);
  if (how == "abort_as_done") comm.abort(ExitCode::done);
}

// Rank 1 makes another call than the rest, after which all would meet.
void fall_out_of_step(Communicator& comm, std::string_view how) {
  comm.set_phase("step 7 forward");
  comm.barrier(lane, "start").wait();
  const auto workers = static_cast<std::size_t>(comm.size());
  const std::vector<std::size_t> two_each(workers, 2);
  std::vector<std::size_t> other_counts = two_each;
  if (comm.rank() != 1) {
    gather<double>(comm, "moments", two_each);
  } else if (how == "other_name") {
    gather<double>(comm, "sums", two_each);
  } else if (how == "other_type") {
    gather<std::uint64_t>(comm, "moments", two_each);
  } else if (how == "more_bytes") {
    other_counts[1] = 5'000;
    gather<double>(comm, "moments", other_counts);
  } else if (how == "fewer_bytes") {
    other_counts[1] = 1;
    gather<double>(comm, "moments", other_counts);
  } else if (how == "other_kind") {  // that moves the same bytes between the same workers
    const std::vector<double> send(2 * workers);
    std::vector<double> receive(2 * workers);
    comm.all_to_all(lane, "moments", std::span(send), two_each, std::span(receive), two_each).wait();
  } else if (how == "broadcast") {
    std::vector<double> data(2);
    comm.broadcast(lane, "moments", std::span(data), 0).wait();
  } else if (how == "barrier") {
    comm.barrier(lane, "moments").wait();
  } else if (how == "away") {  // and answers nobody for longer than those who are out of time are heard
    Pending call = comm.barrier(lane, "moments");
    sleep(3);
    call.wait();
  }
  // "skipped": nothing.
  gather<double>(comm, "loss", two_each);
  comm.barrier(lane, "end").wait();
}

// In what a run does, whose errors are judged for it.
template <class Exception>
void fail_with(const Exception& exception) {
  const Workers workers{Workers::Kind::mpi, 2, launched()->rank};
  run_workers(workers, {}, [&](Communicator& comm) {
    if (comm.rank() == 1) throw exception;
    wait_for_the_other(comm);
  });
}

void run(std::string_view how, bool on_nccl) {
  if (how == "out_of_memory") return fail_with(std::bad_alloc());
  if (how == "bug") return fail_with(std::runtime_error("a layer that went wrong"));
  const auto mpi = make_mpi();
  std::unique_ptr<Communicator> nccl;
  if (on_nccl) {
    lane = Lane::scatter;
    nccl = make_nccl(*mpi);
  }
  Communicator& comm = on_nccl ? *nccl : *mpi;
  constexpr std::string_view out_of_step = "out_of_step_";
  if (how.starts_with(out_of_step)) return fall_out_of_step(comm, how.substr(out_of_step.size()));
  if (how == "late_worker" || how == "takes_nothing") comm.set_timeout(std::chrono::milliseconds(500));
  if (comm.rank() == 1) {
    fail(comm, how);
  } else if (how == "takes_nothing") {
    send_much(comm);
  } else {
    wait_for_the_other(comm);
  }
}

}  // namespace
}  // namespace lockstep::test

int main(int argc, char** argv) {
  const bool on_nccl = argc > 2;
  if (on_nccl && lockstep::visible_gpus() == 0) {
    fmt::print("skipped: no GPU\n");
    return 0;
  }
  try {
    lockstep::test::run(argv[1], on_nccl);
  } catch (const lockstep::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    lockstep::leave_process(error.code());
  }
  return 0;
}
