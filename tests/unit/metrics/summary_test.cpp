#include "trainer/metrics/summary.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace lockstep {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string trained(int step, double loss, double images_per_s) {
  return fmt::format(
      "{{\"step\":{},\"epoch\":1,\"loss\":{},\"accuracy\":0.5,\"lr\":0.05,\"images_per_s\":{}}}\n", step,
      loss, images_per_s);
}

std::string evaluated(int step, double accuracy) {
  return fmt::format(
      "{{\"step\":{0},\"epoch\":1,\"val_loss\":0.25,\"val_accuracy\":{1},\"val_accuracy.ema\":{1}}}\n", step,
      accuracy);
}

TEST(SummaryTable, TellsTrainingUpToEachEvaluation) {
  const std::string metrics = trained(10, 2.0, 1000) + trained(20, 1.0, 3000) + evaluated(20, 0.75) +
                              trained(30, 0.5, 2000) + evaluated(30, 0.7);
  EXPECT_EQ(summary_table(metrics),
            "  step  epoch    loss  accuracy    lr  images/s  val_loss  val_accuracy\n"
            "    20      1  1.5000   50.00 %  0.05      1500    0.2500       75.00 %\n"
            "    30      1  0.5000   50.00 %  0.05      2000    0.2500       70.00 %\n"
            "  best val_accuracy: 75.00 % at step 20\n");
}

TEST(SummaryTable, HasAColumnForEachOfSeveralRunningStatistics) {
  const std::string table = summary_table(
      R"({"step":4,"epoch":1,"val_loss":1,"val_accuracy":0.5,"val_accuracy.ema":0.5,"val_accuracy.precise":0.6})");
  EXPECT_EQ(table,
            "  step  epoch  loss  accuracy  lr  images/s  val_loss  val_accuracy      ema  precise\n"
            "     4      1     -         -   -         -    1.0000       50.00 %  50.00 %  60.00 %\n"
            "  best val_accuracy: 50.00 % at step 4\n");
}

TEST(SummaryTable, TellsOfTrainingBehindTheLastEvaluation) {
  const std::string table = summary_table(evaluated(10, 0.5) + trained(20, 1.0, 1000));
  EXPECT_THAT(table, HasSubstr("    20      1  1.0000   50.00 %  0.05      1000         -             -\n"));
  EXPECT_THAT(summary_table(trained(20, 1.0, 1000)), Not(HasSubstr("best")));
}

TEST(SummaryTable, OfManyEvaluationsShowsTheLastAndTheBest) {
  std::string metrics;
  for (int step = 1; step <= 50; ++step) metrics += evaluated(step, step == 3 ? 0.9 : 0.1);
  const std::string table = summary_table(metrics);
  EXPECT_EQ(std::ranges::count(table, '\n'), 23);
  EXPECT_THAT(table, HasSubstr("\n    31      1 "));
  EXPECT_THAT(table, Not(HasSubstr("\n    30      1 ")));
  EXPECT_THAT(table, HasSubstr("\n  30 evaluations before these\n  best val_accuracy: 90.00 % at step 3\n"));
}

TEST(SummaryTable, SaysNothingOfNothing) {
  EXPECT_EQ(summary_table(""), "");
  EXPECT_EQ(summary_table("{\"seed\":1}\n"), "");
}

TEST(SummaryTable, PassesOverWhatIsNoLineOfMetrics) {
  EXPECT_EQ(
      summary_table(std::string("torn {\"step\":\n[1]\n7\n{\"step\":\"x\",\"epoch\":[],\"loss\":\"y\"}\n") +
                    R"({"step":1,"skipped":1})"),
      "  step  epoch    loss  accuracy  lr  images/s  val_loss  val_accuracy\n"
      "     1      0  0.0000    0.00 %   0         0         -             -\n");
}

}  // namespace
}  // namespace lockstep
