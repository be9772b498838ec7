#include "trainer/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace lockstep {
namespace {

TEST(EpochOrder, VisitsEverySampleOnce) {
  for (const std::int64_t size : {0, 1, 2, 7, 1000}) {
    auto order = epoch_order(1, 0, size);
    std::ranges::sort(order);
    std::vector<std::int64_t> all(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    EXPECT_EQ(order, all);
  }
}

TEST(EpochOrder, IsAFunctionOfSeedAndEpoch) {
  EXPECT_EQ(epoch_order(1, 3, 100), epoch_order(1, 3, 100));
  EXPECT_NE(epoch_order(1, 3, 100), epoch_order(1, 4, 100));
  EXPECT_NE(epoch_order(1, 3, 100), epoch_order(2, 3, 100));
}

// Each sample comes first equally often: 600 epochs of 6 samples, 100 expected, standard deviation 9.
TEST(EpochOrder, FavoursNoSample) {
  std::vector<int> first(6, 0);
  for (std::int64_t epoch = 0; epoch < 600; ++epoch)
    ++first[static_cast<std::size_t>(epoch_order(1, epoch, 6)[0])];
  for (const int count : first) EXPECT_NEAR(count, 100, 45);
}

TEST(StepsPerEpoch, CountsTheShortLastBatchUnlessItIsDropped) {
  EXPECT_EQ(steps_per_epoch(10, 4, false), 3);
  EXPECT_EQ(steps_per_epoch(10, 4, true), 2);
  EXPECT_EQ(steps_per_epoch(8, 4, false), 2);
  EXPECT_EQ(steps_per_epoch(8, 4, true), 2);
  EXPECT_EQ(steps_per_epoch(3, 4, false), 1);
  EXPECT_EQ(steps_per_epoch(3, 4, true), 0);
}

TEST(StepPlace, WalksThroughEpochsWithAShortLastBatch) {
  EXPECT_EQ(step_place(0, 10, 4, false), (StepPlace{0, 0, 4}));
  EXPECT_EQ(step_place(2, 10, 4, false), (StepPlace{0, 8, 2}));
  EXPECT_EQ(step_place(3, 10, 4, false), (StepPlace{1, 0, 4}));
  EXPECT_EQ(step_place(8, 10, 4, false), (StepPlace{2, 8, 2}));
}

TEST(StepPlace, DropsTheShortLastBatch) {
  EXPECT_EQ(step_place(1, 10, 4, true), (StepPlace{0, 4, 4}));
  EXPECT_EQ(step_place(2, 10, 4, true), (StepPlace{1, 0, 4}));
}

TEST(StepPlace, RefusesAnEpochWithoutAStep) {
  EXPECT_THROW(step_place(0, 3, 4, true), std::invalid_argument);
}

}  // namespace
}  // namespace lockstep
