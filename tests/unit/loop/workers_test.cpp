#include "trainer/loop/workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>

#include "layers/ops/gpu.h"
#include "trainer/loop/device.h"

namespace lockstep {
namespace {

using testing::HasSubstr;
using Kind = Workers::Kind;

// What a launcher puts into the environment, for the time of a test.
class Launcher {
 public:
  Launcher(int rank, int size) {
    ::setenv("OMPI_COMM_WORLD_RANK", std::to_string(rank).c_str(), 1);
    ::setenv("OMPI_COMM_WORLD_SIZE", std::to_string(size).c_str(), 1);
  }
  ~Launcher() {
    ::unsetenv("OMPI_COMM_WORLD_RANK");
    ::unsetenv("OMPI_COMM_WORLD_SIZE");
  }
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
};

std::string refusal(const Config& config, std::optional<int> requested) {
  try {
    choose_workers(config, requested);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(ChooseWorkers, AloneIsOneWorkerUnlessThreadsAreRequested) {
  EXPECT_EQ(choose_workers({}, std::nullopt).kind, Kind::single);
  const Workers workers = choose_workers({}, 3);
  EXPECT_EQ(workers.kind, Kind::threads);
  EXPECT_EQ(workers.count, 3);
}

TEST(ChooseWorkers, ThreadsMayBeAskedForEvenForOneWorker) {
  Config config;
  config.comm.backend = CommConfig::Backend::threads;
  EXPECT_EQ(choose_workers(config, 1).kind, Kind::threads);
}

TEST(ChooseWorkers, UnderALauncherItsProcessesAreTheWorkers) {
  const Launcher launcher(2, 4);
  const Workers workers = choose_workers({}, std::nullopt);
  EXPECT_EQ(workers.kind, Kind::mpi);
  EXPECT_EQ(workers.count, 4);
  EXPECT_EQ(workers.rank, 2);
}

TEST(ChooseWorkers, UnderALauncherThreadsAreRefused) {
  const Launcher launcher(0, 2);
  EXPECT_THAT(refusal({}, 2), HasSubstr("--workers"));
  Config config;
  config.comm.backend = CommConfig::Backend::threads;
  EXPECT_THAT(refusal(config, std::nullopt), HasSubstr("auto or mpi"));
}

TEST(ChooseWorkers, MpiWithoutALauncherIsRefused) {
  Config config;
  config.comm.backend = CommConfig::Backend::mpi;
  EXPECT_THAT(refusal(config, std::nullopt), HasSubstr("mpirun"));
  config.comm.backend = CommConfig::Backend::nccl;
  EXPECT_THAT(refusal(config, std::nullopt), testing::AllOf(HasSubstr("nccl"), HasSubstr("mpirun")));
}

TEST(ChooseWorkers, GpusAreRefusedWhereThereAreNone) {
  if (gpus_here() > 0) GTEST_SKIP() << "there are some";
  Config config;
  config.device = ComputeOn::gpu;
  const std::string lack = has_cuda() ? "no GPU that CUDA can use" : "cmake --preset cuda";
  EXPECT_THAT(refusal(config, std::nullopt),
              testing::AllOf(HasSubstr("device is gpu"), HasSubstr(lack), HasSubstr("device: cpu")));
}

TEST(ChooseWorkers, GpusTalkByNcclAlone) {
  EXPECT_NO_THROW(require_gpu_transport(CommConfig::Backend::automatic, {Kind::single, 1, 0}));
  EXPECT_NO_THROW(require_gpu_transport(CommConfig::Backend::nccl, {Kind::mpi, 2, 0}));
  EXPECT_THROW(require_gpu_transport(CommConfig::Backend::automatic, {Kind::threads, 2, 0}), UsageError);
  EXPECT_THROW(require_gpu_transport(CommConfig::Backend::mpi, {Kind::mpi, 2, 0}), UsageError);
}

TEST(ChooseWorkers, MoreWorkersThanShardsAreRefusedWithBothRemedies) {
  Config config;
  config.batch.shards = 4;
  EXPECT_EQ(choose_workers(config, 4).count, 4);
  EXPECT_THAT(refusal(config, 5),
              testing::AllOf(HasSubstr("batch.shards is 4"), HasSubstr("at most 4 workers"),
                             HasSubstr("at least 5"), HasSubstr("belong to the result")));
}

TEST(RunWorkers, RunsEveryWorkerWithTheTimeoutOfTheConfiguration) {
  CommConfig config;
  config.timeout_s = 2.5;
  std::atomic<int> ran{0};
  run_workers({Kind::threads, 3, 0}, config, [&](Communicator& comm) {
    EXPECT_EQ(comm.size(), 3);
    EXPECT_EQ(comm.timeout(), std::chrono::milliseconds(2500));
    ++ran;
  });
  EXPECT_EQ(ran, 3);
}

TEST(RunWorkers, ThrowsWhatAllWorkersThrow) {
  EXPECT_THROW(run_workers({Kind::threads, 2, 0}, {}, [](Communicator&) { throw DataError("gone"); }),
               DataError);
}

}  // namespace
}  // namespace lockstep
