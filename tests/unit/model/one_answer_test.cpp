// The promise, at the level of the model: nothing about how the work is spread changes a bit of the result.
#include <gtest/gtest.h>

#include <tuple>

#include "layers/ops/processor.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

// No multiple of the shards; fewer samples than shards, so that shards are empty; a worker of only empty
// shards.
const std::vector<std::int64_t> batches{16, 13, 5, 2};

Outcome reference(const ModelOptions& options) {
  return run_steps(options, {.workers = 1, .batches = batches})[0];
}

// Shards that share statistics, and what training keeps activations in.
class OneAnswer : public ::testing::TestWithParam<std::tuple<std::int64_t, Element>> {
 protected:
  void SetUp() override {
    if (!computes_in(std::get<Element>(GetParam()))) GTEST_SKIP() << "not on this processor";
  }
  ModelOptions options() const {
    ModelOptions options = small_resnet();
    std::tie(options.statistics_group, options.training) = GetParam();
    options.running_statistics = {{}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
    return options;
  }
};

TEST_P(OneAnswer, OnAnyNumberOfWorkers) {
  const Outcome expected = reference(options());
  for (const int workers : {2, 3, 4, 5, 7, 8}) {
    for (const Outcome& outcome : run_steps(options(), {.workers = workers, .batches = batches})) {
      EXPECT_TRUE(outcome == expected) << workers << " workers";
    }
  }
}

TEST_P(OneAnswer, WithAnyNumberOfThreads) {
  const Outcome expected = reference(options());
  for (const int threads : {2, 3}) {
    ModelOptions several = options();
    several.threads = threads;
    EXPECT_TRUE(run_steps(several, {.workers = 2, .batches = batches})[0] == expected)
        << threads << " threads";
  }
}

TEST_P(OneAnswer, WithFusionAndRecomputationOnAndOff) {
  const Outcome expected = reference(options());
  for (const bool fuse : {true, false}) {
    for (const bool recompute : {true, false}) {
      ModelOptions changed = options();
      changed.fuse = fuse;
      changed.recompute = recompute;
      EXPECT_TRUE(run_steps(changed, {.workers = 2, .batches = batches})[0] == expected)
          << "fuse " << fuse << ", recompute " << recompute;
    }
  }
}

TEST_P(OneAnswer, WithStatisticsFrozenOnTheWay) {
  Steps steps{.workers = 1, .batches = batches, .freeze_after = 1};
  const Outcome expected = run_steps(options(), steps)[0];
  EXPECT_FALSE(expected == reference(options()));
  for (const int workers : {2, 3, 5, 8}) {
    steps.workers = workers;
    for (const Outcome& outcome : run_steps(options(), steps)) {
      EXPECT_TRUE(outcome == expected) << workers << " workers";
    }
  }
  ModelOptions changed = options();
  changed.fuse = changed.recompute = false;
  changed.threads = 2;
  EXPECT_TRUE(run_steps(changed, steps)[0] == expected) << "unfused, kept, on two threads";
}

TEST_P(OneAnswer, WithAnyBucketsAndWithoutOverlap) {
  const Outcome expected = reference(options());
  for (const std::size_t bucket_bytes : {std::size_t{64}, std::size_t{1} << 20}) {
    for (const std::size_t small_bytes : {std::size_t{0}, std::size_t{1} << 20}) {
      for (const bool overlap : {true, false}) {
        const Steps steps{.workers = 3,
                          .batches = batches,
                          .bucket_bytes = bucket_bytes,
                          .small_bytes = small_bytes,
                          .overlap = overlap};
        EXPECT_TRUE(run_steps(options(), steps)[2] == expected)
            << "buckets of " << bucket_bytes << ", small up to " << small_bytes << ", overlap " << overlap;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(StatisticsGroup, OneAnswer,
                         ::testing::Combine(::testing::Values(8, 1, 2, 3),
                                            ::testing::Values(Element::f32, Element::bf16)));

TEST(Evaluation, IsTheSameOnAnyNumberOfWorkers) {
  const ModelOptions options = small_resnet();
  std::vector<BatchSums> sums;
  for (const int workers : {1, 2, 3, 8}) {
    run_threads(workers, [&](Communicator& comm) {
      Model model(options, comm.size(), comm.rank());
      model.initialize();
      const RandomBatch batch(model.layout(), options.input, options.classes, 11);
      const BatchSums here = model.evaluate(comm, batch.input());
      if (comm.rank() == workers - 1) sums.push_back(here);
    });
  }
  for (const BatchSums& other : sums) {
    EXPECT_EQ(other.loss, sums[0].loss);
    EXPECT_EQ(other.correct, sums[0].correct);
    EXPECT_EQ(other.samples, 11);
  }
}

}  // namespace
}  // namespace lockstep::testing
