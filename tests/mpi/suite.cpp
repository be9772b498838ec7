#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <utility>

#include "comm/mpi/mpi.h"
#include "comm/nccl/nccl.h"
#include "tests/support/transport_suite.h"

// Runs the behaviour suite on all workers of an MPI job: mpirun -np N mpi_suite N; with `nccl` behind it, on
// NCCL beside MPI.

namespace lockstep::test {
namespace {

class Case : public testing::Test {
 public:
  Case(Communicator& comm, Behaviour behaviour) : comm_(comm), behaviour_(std::move(behaviour)) {}

  void TestBody() override {
    comm_.set_phase(behaviour_.name);
    try {
      behaviour_.check(comm_);
    } catch (const CommError& error) {
      // The others are somewhere else by now; nothing that follows would mean anything.
      fmt::print(stderr, "{}\n", error.what());
      comm_.abort(error.code());
    }
  }

 private:
  Communicator& comm_;
  Behaviour behaviour_;
};

// Prints failures with the rank that saw them.
class RankReporter : public testing::EmptyTestEventListener {
 public:
  explicit RankReporter(int rank) : rank_(rank) {}

  void OnTestStart(const testing::TestInfo& test) override { test_ = test.name(); }

  // Under GoogleTest's lock, which asking it for the current test would wait for.
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    ++failures_;
    fmt::print(stderr, "rank {}: {} failed at {}:{}\n{}\n", rank_, test_,
               result.file_name() ? result.file_name() : "?", result.line_number(), result.message());
  }

  int failures() const { return failures_; }

 private:
  int rank_;
  std::string test_;
  int failures_ = 0;
};

int run(Communicator& comm) {
  for (const auto& behaviour : transport_behaviours()) {
    testing::RegisterTest("Transport", behaviour.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [&comm, behaviour]() -> testing::Test* { return new Case(comm, behaviour); });
  }
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (comm.rank() != 0) delete listeners.Release(listeners.default_result_printer());
  auto* reporter = new RankReporter(comm.rank());
  listeners.Append(reporter);
  const bool failed = RUN_ALL_TESTS() != 0;

  const std::vector<int> mine = {failed ? std::max(reporter->failures(), 1) : 0};
  std::vector<int> all(static_cast<std::size_t>(comm.size()));
  const std::vector<std::size_t> one_each(all.size(), 1);
  comm.all_gather(Lane::statistics, "failures", std::span<const int>(mine), std::span(all), one_each).wait();
  const int failures = std::accumulate(all.begin(), all.end(), 0);
  if (comm.rank() == 0) fmt::print("{} failures on {} workers\n", failures, comm.size());
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lockstep::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto comm = lockstep::make_mpi();
  const int expected = argc >= 2 ? std::atoi(argv[1]) : 0;
  const auto launch = lockstep::launched();
  if (comm->size() != expected || !launch || launch->size != expected || launch->rank != comm->rank()) {
    fmt::print(stderr, "{} workers in the job, expected {}\n", comm->size(), expected);
    comm->abort(lockstep::ExitCode::usage);
  }
  comm->set_timeout(std::chrono::seconds(20));
  if (argc == 2) return lockstep::test::run(*comm);
  if (lockstep::visible_gpus() == 0) {
    fmt::print("skipped: no GPU\n");
    return 0;
  }
  return lockstep::test::run(*lockstep::make_nccl(*comm));
}
