#include "layers/model/bare_step.h"

#include <gtest/gtest.h>

#include <vector>

#include "layers/ops/processor.h"
#include "layers/ops/threads.h"

namespace lockstep {
namespace {

using Pass = BarePrimitive::Pass;

ModelOptions two_layers() {
  ModelOptions options;
  options.classes = 10;
  options.spec.layers = {{"conv", Conv2dSpec{.out = 8, .padding = 1, .bias = true}},
                         {"norm", BatchNormSpec{}},
                         {"flatten", FlattenSpec{}},
                         {"fc", LinearSpec{.out = 10}}};
  options.input = {6, 6, 3};
  options.shards = 4;
  return options;
}

std::vector<Pass> passes_of(const BareStep& step, const std::string& layer) {
  std::vector<Pass> passes;
  for (const auto& entry : step.entries()) {
    if (entry.layer == layer) passes.push_back(entry.pass);
  }
  return passes;
}

// What reads images is not asked for its input's gradient, in training neither.
TEST(BareStep, HasThePrimitivesOfTraining) {
  prepare_compute_thread();
  const BareStep step(two_layers(), 1, 0, 16);
  EXPECT_EQ(passes_of(step, "conv"), (std::vector{Pass::forward, Pass::backward_weight}));
  EXPECT_EQ(passes_of(step, "fc"), (std::vector{Pass::forward, Pass::backward_data, Pass::backward_weight}));
  EXPECT_EQ(step.entries().size(), 5);
  for (const auto& entry : step.entries()) {
    EXPECT_EQ(entry.implementations.size(), 1) << entry.layer;
    EXPECT_FALSE(entry.implementations.contains("")) << entry.layer;
  }
}

void expect_to_run(const ModelOptions& options, int rank) {
  const BareStep step(options, 3, rank, 18);
  ASSERT_EQ(step.entries().size(), 5);
  for (std::size_t entry = 0; entry < step.entries().size(); ++entry) step.run(entry);
}

// 18 samples on 4 shards: 5, 5, 4, 4. Under a sanitizer this shows that every primitive has room.
TEST(BareStep, RunsOnShardsOfTwoSizes) {
  prepare_compute_thread();
  for (const int rank : {0, 1, 2}) expect_to_run(two_layers(), rank);
}

TEST(BareStep, RunsInBf16) {
  if (!computes_in(Element::bf16)) GTEST_SKIP() << "not on this processor";
  prepare_compute_thread();
  ModelOptions options = two_layers();
  options.training = Element::bf16;
  for (const int rank : {0, 1, 2}) expect_to_run(options, rank);
}

TEST(BareStep, IsEmptyWhereAWorkerHasNoSample) {
  prepare_compute_thread();
  EXPECT_TRUE(BareStep(two_layers(), 4, 3, 2).entries().empty());
}

}  // namespace
}  // namespace lockstep
