#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <new>
#include <span>
#include <string_view>

#include "comm/base/leave.h"
#include "comm/mpi/mpi.h"
#include "trainer/loop/workers.h"

// Rank 1 of two fails in the way that the argument names while rank 0 waits for it.

namespace lockstep::test {
namespace {

void wait_for_the_other(Communicator& comm) {
  comm.set_phase("step 7 forward");
  comm.barrier(Lane::statistics, "start").wait();
  const std::array<double, 1> mine = {1.0};
  std::array<double, 2> all{};
  const std::array<std::size_t, 2> counts = {1, 1};
  comm.all_gather(Lane::statistics, "moments", std::span<const double>(mine), std::span<double>(all), counts)
      .wait();
}

void fail(Communicator& comm, std::string_view how) {
  comm.barrier(Lane::statistics, "start").wait();
  if (how == "late_worker") sleep(60);
  if (how == "exception") throw DataError("rank 1 could not go on");
  if (how == "abort") comm.abort(ExitCode::data);
  if (how == "abort_as_done") comm.abort(ExitCode::done);
}

void run_out_of_memory() {
  const Workers workers{Workers::Kind::mpi, 2, launched()->rank};
  run_workers(workers, {}, [](Communicator& comm) {
    if (comm.rank() == 1) throw std::bad_alloc();
    wait_for_the_other(comm);
  });
}

void run(std::string_view how) {
  if (how == "out_of_memory") return run_out_of_memory();
  const auto comm = make_mpi();
  if (how == "late_worker") comm->set_timeout(std::chrono::milliseconds(500));
  if (comm->rank() == 0) {
    wait_for_the_other(*comm);
  } else {
    fail(*comm, how);
  }
}

}  // namespace
}  // namespace lockstep::test

int main(int, char** argv) {
  try {
    lockstep::test::run(argv[1]);
  } catch (const lockstep::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    lockstep::leave_process(error.code());
  }
  return 0;
}
