#include "trainer/loop/best.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace lockstep {
namespace {

using Metric = EvaluationConfig::Metric;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Score with_loss(double loss) {
  return {.loss = loss, .accuracy = 1 - loss, .correct = 0, .samples = 1};
}

TEST(Better, IsALowerLossOrAHigherAccuracyByMoreThanAsked) {
  EXPECT_TRUE(better(0.5, 0.75, Metric::loss));
  EXPECT_FALSE(better(0.5, 0.5, Metric::loss));
  EXPECT_FALSE(better(0.5, 0.75, Metric::loss, 0.25));
  EXPECT_TRUE(better(0.25, 0.75, Metric::loss, 0.25));
  EXPECT_TRUE(better(0.75, 0.5, Metric::accuracy));
  EXPECT_FALSE(better(0.75, 0.5, Metric::accuracy, 0.25));
  EXPECT_TRUE(better(1e9, not_a_number, Metric::loss));
  EXPECT_FALSE(better(not_a_number, 1e9, Metric::loss));
  EXPECT_FALSE(better(not_a_number, not_a_number, Metric::accuracy));
}

TEST(EarlyStopping, CountsEvaluationsThatAreNotBetterThanTheBest) {
  Config config;
  config.train.early_stopping = {.patience = 2, .min_delta = 0.1};
  EarlyStopping state;
  std::vector<std::int64_t> counts;
  std::int64_t step = 0;
  // 0.45 is not better by enough than 0.5, but 0.39 is; the best stays 0.5 meanwhile.
  for (const double loss : {0.7, 0.5, 0.45, 0.42, 0.39, 0.9, not_a_number}) {
    count_evaluation(state, ++step, with_loss(loss), config);
    counts.push_back(state.not_better);
  }
  EXPECT_EQ(counts, (std::vector<std::int64_t>{0, 0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(state.best, 0.39);
  EXPECT_EQ(state.best_step, 5);
  EXPECT_EQ(state.step, 7);
}

TEST(EarlyStopping, GoesByAccuracyWhereAsked) {
  Config config;
  config.evaluation.metric = Metric::accuracy;
  EarlyStopping state;
  count_evaluation(state, 1, {.loss = 1, .accuracy = 0.5}, config);
  count_evaluation(state, 2, {.loss = 0.5, .accuracy = 0.4}, config);
  EXPECT_EQ(state.not_better, 1);
  count_evaluation(state, 3, {.loss = 2, .accuracy = 0.6}, config);
  EXPECT_EQ(state.best, 0.6);
}

TEST(Best, DoesNotDependOnTheOrderInWhichEvaluationsCome) {
  const std::vector<Evaluated> all{
      {1, with_loss(0.5)}, {2, with_loss(0.25)}, {3, with_loss(0.25)}, {4, with_loss(not_a_number)}};
  for (const Evaluated& one : all) {
    EXPECT_FALSE(is_kept_before(one, one, Metric::loss));
    EXPECT_EQ(is_kept_before(one, all[1], Metric::loss), false) << "step 2 is the first of the best";
    EXPECT_EQ(is_kept_before(all[1], one, Metric::loss), one.step != 2);
  }
}

TEST(Best, OfNoFileIsNothing) {
  EXPECT_FALSE(read_best("/nowhere/best.safetensors").has_value());
}

}  // namespace
}  // namespace lockstep
