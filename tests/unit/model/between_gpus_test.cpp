// Workers with doubles of GPUs, between which a double of NCCL moves gradients, train what one worker trains.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/nccl/transport.h"
#include "tests/support/gpu_double.h"
#include "tests/support/nccl_double.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

const std::vector<std::int64_t> batches{16, 16, 13, 13, 5, 2};
constexpr int connecting_copies = 2;  // a byte to each and from each, of the host

class BetweenGpus : public ::testing::TestWithParam<int> {
 protected:
  BetweenGpus() {
    auto gpu = std::make_unique<test::GpuDouble>(true);
    memory_ = &gpu->memory();
    options_.device = std::make_shared<cuda::Operations<test::GpuDouble>>(std::move(gpu));
  }

  // Steps of so many workers.
  std::vector<Outcome> run(int workers, Steps steps) {
    test::NcclWorld world;
    records_.assign(static_cast<std::size_t>(workers), {});
    steps.workers = workers;
    steps.over = [&](Communicator& control, const auto& worker) {
      control.set_timeout(std::chrono::seconds(20));
      auto library =
          std::make_unique<test::NcclDouble>(world, records_[static_cast<std::size_t>(control.rank())]);
      library->at = [this](std::string_view name, int) {
        if (name == "end_group" && test::GpuDouble::working) ++handed_over_while_working_;
      };
      library->also_on_device = [this](const std::byte* begin, std::size_t bytes) {
        return memory_->holds(begin, bytes);
      };
      const auto nccl = nccl::make_transport(control, std::move(library), false);
      worker(*nccl);
    };
    return run_steps(options_, steps);
  }

  ModelOptions options_ = small_resnet();
  test::GuardedMemory* memory_ = nullptr;
  std::vector<test::NcclDouble::Record> records_;
  std::atomic<int> handed_over_while_working_ = 0;
};

TEST_P(BetweenGpus, GivesTheBitsOfOneWorker) {
  options_.statistics_group = 4;
  const Outcome expected = run(1, {.batches = batches})[0];
  for (const bool overlap : {true, false}) {
    for (const std::size_t small_bytes : {std::size_t{0}, std::size_t{256}, std::size_t{4096}}) {
      const Steps steps{
          .batches = batches, .bucket_bytes = 512, .small_bytes = small_bytes, .overlap = overlap};
      for (const Outcome& outcome : run(GetParam(), steps)) {
        EXPECT_TRUE(outcome == expected) << "overlap " << overlap << ", small " << small_bytes;
      }
    }
  }
}

TEST_P(BetweenGpus, TakesGradientsWhereTheyAre) {
  run(GetParam(), {.batches = batches});
  for (auto& record : records_) {
    EXPECT_GT(record.calls["send"], 0);
    EXPECT_GT(record.calls["all_gather"], 0);
    EXPECT_EQ(record.calls["copy"], connecting_copies) << "gradients go through staging memory";
  }
}

TEST_P(BetweenGpus, HandsOverGradientsWhileItsGpuIsAtWork) {
  run(GetParam(), {.batches = batches, .bucket_bytes = 512});
  EXPECT_GT(handed_over_while_working_, 0);
}

INSTANTIATE_TEST_SUITE_P(, BetweenGpus, ::testing::Values(2, 3, 4));

}  // namespace
}  // namespace lockstep::testing
