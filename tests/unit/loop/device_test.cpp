// Whole runs on a device of its own: a double of a GPU, and, as gpu_networks, a GPU.
#include "trainer/loop/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "comm/base/error.h"
#include "comm/single/single.h"
#include "comm/threads/threads.h"
#include "tests/support/tested_device.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/loop/train.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Open = RunDirectory::Open;

// With everything that reads or writes a run's state between its steps.
Config everything() {
  Config config;
  config.model = {.name = "mlp", .layers = {}, .hidden = {6}, .dropout = 0.25};
  config.batch = {.global = 10, .shards = 4};
  config.data.dataset = DataConfig::Dataset::synthetic;
  config.data.synthetic = {
      .samples = 33, .test_samples = 13, .height = 4, .width = 4, .channels = 1, .classes = 3};
  config.normalization.running_stats = {{}, {.name = "precise", .kind = RunningStatistics::Kind::precise}};
  config.schedule.epochs = 2;
  config.evaluation.batch = 5;
  config.evaluation.batch_statistics = true;
  config.optimizer.clip_norm = 0.5;
  config.train.weight_ema = 0.5;
  config.train.on_divergence = TrainConfig::OnDivergence::skip;
  config.train.digest_every = 1;
  return config;
}

class RunOnDevice : public test::DeviceTest {
 protected:
  Outcome run(Config config, const std::string& name, Open open = Open::fresh, bool on_device = true) const {
    config.run_dir = (folder_.path() / name).string();
    Outcome outcome = Outcome::finished;
    const OpenDevice device = [&](const Config&) { return on_device ? test::tested_device() : nullptr; };
    run_workers({Workers::Kind::single, 1, 0}, config.comm,
                [&](Communicator& comm) { outcome = train(comm, config, open, "", device); });
    return outcome;
  }
  std::string bytes(const std::string& file) const {
    std::ifstream stream(folder_.path() / file, std::ios::binary);
    EXPECT_TRUE(stream) << file;
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  // The largest difference between two files' tensors of fp32.
  double distance(const std::string& one, const std::string& other) const {
    const auto left = SafetensorsFile::read(folder_.path() / one);
    const auto right = SafetensorsFile::read(folder_.path() / other);
    double largest = 0;
    for (const TensorView& tensor : left.tensors()) {
      const TensorView* const its = right.find(tensor.name);
      EXPECT_NE(its, nullptr) << tensor.name;
      if (its == nullptr || tensor.dtype != DType::f32) continue;
      for (std::size_t i = 0; i < tensor.bytes.size(); i += sizeof(float)) {
        float a = 0;
        float b = 0;
        std::memcpy(&a, tensor.bytes.data() + i, sizeof(float));
        std::memcpy(&b, its->bytes.data() + i, sizeof(float));
        largest = std::max(largest, std::abs(static_cast<double>(a) - b));
      }
    }
    return largest;
  }

  TemporaryFolder folder_;
};

TEST_F(RunOnDevice, EndsWhereTheProcessorEnds) {
  for (const auto name : {OptimizerConfig::Name::sgd, OptimizerConfig::Name::adamw}) {
    Config config = everything();
    config.optimizer.name = name;
    config.optimizer.lr = name == OptimizerConfig::Name::adamw ? 0.002 : config.optimizer.lr;
    const std::string optimizer = name == OptimizerConfig::Name::adamw ? "adamw" : "sgd";
    run(config, optimizer + " here", Open::fresh, false);
    run(config, optimizer + " there");
    constexpr double tolerance = 1e-4;
    for (const char* file :
         {"/final.safetensors", "/final_ema.safetensors", "/checkpoints/step-00000008.safetensors"}) {
      EXPECT_LT(distance(optimizer + " here" + file, optimizer + " there" + file), tolerance)
          << optimizer << file;
    }
  }
}

TEST_F(RunOnDevice, StoppedAndResumedItIsTheSameFile) {
  run(everything(), "whole");
  Config stopped = everything();
  stopped.train.stop_at_step = 3;
  EXPECT_EQ(run(stopped, "parts"), Outcome::stopped);
  run(everything(), "parts", Open::resume);
  for (const char* file : {"/final.safetensors", "/final_ema.safetensors", "/digests.jsonl",
                           "/checkpoints/step-00000008.safetensors"}) {
    EXPECT_EQ(bytes("parts" + std::string(file)), bytes("whole" + std::string(file))) << file;
  }
}

#ifndef LOCKSTEP_ON_GPU
TEST_F(RunOnDevice, BringsAllBatchesFromPinnedMemory) {
  test::GpuDouble::pageable_copies = 0;
  run(everything(), "run");
  EXPECT_EQ(test::GpuDouble::pageable_copies, 0);
}
#endif

TEST_F(RunOnDevice, NeedsTheDevicesMemory) {
  Config config = everything();
  config.plan.memory_mib = 1;
  config.model.hidden = {40'000};
  try {
    run(config, "large");
    FAIL() << "it fits";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("plan.memory_mib is 1"));
  }
  if (!test::is_double) return;
  config.plan.memory_mib = 0;
  config.model.hidden = {1'000'000, 20};  // the double has 1 GiB
  try {
    run(config, "large");
    FAIL() << "it fits";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("its GPU has 1.0 GiB free"));
  }
}

TEST(Devices, ThatDifferAreNamed) {
  run_threads(3, [](Communicator& comm) {
    EXPECT_NO_THROW(require_equal_devices(comm, "H100"));
    try {
      require_equal_devices(comm, comm.rank() == 1 ? "A100" : "H100");
      ADD_FAILURE() << "rank " << comm.rank();
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("rank 0"), HasSubstr("H100"), HasSubstr("rank 1"),
                                      HasSubstr("A100"), HasSubstr("GPUs of one kind")));
    }
  });
}

TEST_F(RunOnDevice, HasAPartOfTheMemoryOfAGpuThatIsShared) {
  if (!test::is_double) GTEST_SKIP() << "how much is free changes";
  const auto device = test::tested_device(true);
  run_threads(4, [&](Communicator& comm) {
    const MemoryLimit limit = memory_limit(comm, {}, device.get());
    EXPECT_EQ(limit.bytes, device->free_bytes() / 4);
    EXPECT_THAT(limit.origin, HasSubstr("1.0 GiB free for 4 worker(s)"));
  });
}

TEST(Devices, OfGpusTalkByNcclUnderALauncher) {
  using Backend = CommConfig::Backend;
  Config config;
  config.device = ComputeOn::gpu;
  EXPECT_EQ(transport_of(config).backend, Backend::automatic);
  ::setenv("OMPI_COMM_WORLD_RANK", "0", 1);
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  EXPECT_EQ(transport_of(config).backend, Backend::nccl);
  EXPECT_EQ(transport_of({}).backend, Backend::automatic);
  ::unsetenv("OMPI_COMM_WORLD_RANK");
  ::unsetenv("OMPI_COMM_WORLD_SIZE");
}

}  // namespace
}  // namespace lockstep
