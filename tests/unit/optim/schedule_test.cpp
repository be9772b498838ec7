#include "trainer/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace lockstep {
namespace {

using Decay = ScheduleConfig::Decay;
constexpr std::int64_t steps_per_epoch = 10;

ScheduleConfig epochs(std::int64_t count, Decay decay, double warmup = 0) {
  ScheduleConfig schedule;
  schedule.epochs = count;
  schedule.decay = decay;
  schedule.warmup_epochs = warmup;
  return schedule;
}

ScheduleConfig steps(std::int64_t count, Decay decay) {
  ScheduleConfig schedule;
  schedule.epochs.reset();
  schedule.steps = count;
  schedule.decay = decay;
  return schedule;
}

double rate(const ScheduleConfig& schedule, std::int64_t step) {
  return learning_rate(schedule, 0.4, steps_per_epoch, step);
}

TEST(Schedule, CountsStepsFromEpochsOrTakesThemAsGiven) {
  EXPECT_EQ(total_steps(epochs(5, Decay::cosine), 235), 1175);
  EXPECT_EQ(total_steps(steps(200, Decay::cosine), 235), 200);
}

TEST(Schedule, WarmsUpLinearlyAndReachesTheBaseRateInItsLastStep) {
  const ScheduleConfig schedule = epochs(5, Decay::cosine, 1);
  EXPECT_DOUBLE_EQ(rate(schedule, 0), 0.04);
  EXPECT_DOUBLE_EQ(rate(schedule, 4), 0.2);
  EXPECT_DOUBLE_EQ(rate(schedule, 9), 0.4);
}

TEST(Schedule, StartsTheDecayAtTheBaseRateAfterTheWarmUp) {
  for (const Decay decay : {Decay::constant, Decay::cosine, Decay::linear}) {
    EXPECT_DOUBLE_EQ(rate(epochs(5, decay, 1), 10), 0.4);
    EXPECT_DOUBLE_EQ(rate(epochs(5, decay, 0), 0), 0.4);
  }
}

TEST(Schedule, DecaysByCosineOverWhatIsLeft) {
  const ScheduleConfig schedule = epochs(5, Decay::cosine, 1);
  EXPECT_NEAR(rate(schedule, 30), 0.2, 1e-15);
  EXPECT_NEAR(rate(schedule, 20), 0.4 * 0.5 * (1 + std::numbers::sqrt2 / 2), 1e-15);
  EXPECT_GT(rate(schedule, 49), 0);
  EXPECT_LT(rate(schedule, 49), 0.001);
}

TEST(Schedule, DecaysLinearlyOverWhatIsLeft) {
  const ScheduleConfig schedule = epochs(5, Decay::linear, 1);
  EXPECT_NEAR(rate(schedule, 30), 0.2, 1e-15);
  EXPECT_NEAR(rate(schedule, 49), 0.01, 1e-15);
}

TEST(Schedule, StaysConstant) {
  const ScheduleConfig schedule = epochs(5, Decay::constant);
  EXPECT_EQ(rate(schedule, 0), 0.4);
  EXPECT_EQ(rate(schedule, 49), 0.4);
}

TEST(Schedule, DropsByAFactorEverySoManyEpochsOfTheRun) {
  ScheduleConfig schedule = epochs(5, Decay::step, 1);
  schedule.step_epochs = 2;
  schedule.step_factor = 0.5;
  EXPECT_DOUBLE_EQ(rate(schedule, 4), 0.2);  // warming up
  EXPECT_DOUBLE_EQ(rate(schedule, 19), 0.4);
  EXPECT_DOUBLE_EQ(rate(schedule, 20), 0.2);
  EXPECT_DOUBLE_EQ(rate(schedule, 39), 0.2);
  EXPECT_DOUBLE_EQ(rate(schedule, 40), 0.1);
}

TEST(Schedule, RoundsFractionalEpochsToWholeSteps) {
  const ScheduleConfig schedule = epochs(5, Decay::constant, 0.26);  // 2.6 steps: 3
  EXPECT_DOUBLE_EQ(rate(schedule, 1), 0.4 * 2 / 3);
  EXPECT_DOUBLE_EQ(rate(schedule, 2), 0.4);
  EXPECT_DOUBLE_EQ(rate(epochs(5, Decay::constant, 0.01), 0), 0.4);
  ScheduleConfig dropping = epochs(5, Decay::step);
  dropping.step_epochs = 0.01;
  EXPECT_DOUBLE_EQ(rate(dropping, 2), 0.4 * 0.01);  // at least one step a period
}

TEST(Schedule, NeverEndsAWarmUpLongerThanTheRun) {
  const ScheduleConfig schedule = epochs(2, Decay::cosine, 4);
  EXPECT_DOUBLE_EQ(rate(schedule, 0), 0.01);
  EXPECT_DOUBLE_EQ(rate(schedule, 19), 0.2);
  // As long as the run: the last step is the warm-up's last.
  EXPECT_DOUBLE_EQ(rate(epochs(2, Decay::cosine, 2), 19), 0.4);
}

TEST(Extends, AllowsTheSameScheduleAndMoreOfTheSame) {
  for (const Decay decay : {Decay::constant, Decay::step}) {
    EXPECT_TRUE(extends(epochs(5, decay), epochs(6, decay)));
    EXPECT_TRUE(extends(steps(5, decay), steps(6, decay)));
    EXPECT_FALSE(extends(epochs(5, decay), epochs(4, decay)));
    EXPECT_FALSE(extends(epochs(5, decay), steps(100, decay)));
  }
  for (const Decay decay : {Decay::cosine, Decay::linear}) {
    EXPECT_TRUE(extends(epochs(5, decay), epochs(5, decay)));
    EXPECT_FALSE(extends(epochs(5, decay), epochs(6, decay)));
    EXPECT_FALSE(extends(steps(5, decay), steps(6, decay)));
  }
}

TEST(Extends, RefusesAnotherShape) {
  const ScheduleConfig before = epochs(5, Decay::step, 1);
  for (const auto change :
       {+[](ScheduleConfig& s) { s.warmup_epochs = 2; },
        +[](ScheduleConfig& s) { s.decay = Decay::constant; }, +[](ScheduleConfig& s) { s.step_epochs = 10; },
        +[](ScheduleConfig& s) { s.step_factor = 0.5; }}) {
    ScheduleConfig after = before;
    after.epochs = 6;
    EXPECT_TRUE(extends(before, after));
    change(after);
    EXPECT_FALSE(extends(before, after));
  }
}

}  // namespace
}  // namespace lockstep
