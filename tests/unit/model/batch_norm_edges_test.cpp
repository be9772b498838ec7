// The contract of batch_norm at its edges, as layers/README.md has it: how a batch is cut. What is in it:
// batch_norm_values_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "comm/base/error.h"
#include "comm/watch/life.h"
#include "tests/unit/model/contract.h"

namespace lockstep::testing {
namespace {

using ::testing::HasSubstr;

TEST(BatchNormContract, AnEmptyShardIsAbsent) {
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    expect_reference(contract_network(8, group), {contract_data(13, 1), contract_data(5, 2)});
    // The same bits as where there is no such shard.
    const ModelOptions five_shards = contract_network(5, std::min<std::int64_t>(group, 5));
    EXPECT_TRUE(train_on_all(contract_network(8, group), {contract_data(5)}) ==
                train_on_all(five_shards, {contract_data(5)}));
  }
}

TEST(BatchNormContract, AWorkerWithOnlyEmptyShardsEndsWithWhatTheOthersHave) {
  for (const int workers : {2, 3, 4}) {
    ASSERT_GE(ShardLayout(8, workers, workers - 1).block().begin, ShardLayout(8, 1, 0).present(3));
  }
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    expect_reference(contract_network(8, group), {contract_data(16, 1), contract_data(3, 2)});
    expect_reference(contract_network(8, group), {contract_data(3, 1), contract_data(16, 2)});
  }
}

TEST(BatchNormContract, AllShardsButOneEmptyIsThatShardAlone) {
  const Trained alone = train_on_all(contract_network(1, 1), {contract_data(1)});
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    EXPECT_TRUE(expect_reference(contract_network(8, group), {contract_data(1)}) == alone);
  }
}

TEST(BatchNormContract, AGroupThatEndsInAShortOrEmptyShardCountsWhatItHas) {
  for (const std::int64_t group : {2, 3, 5, 7}) {
    for (const std::int64_t samples : {15, 13, 9, 7, 5, 4, 3}) {
      SCOPED_TRACE(std::to_string(group) + " shards, " + std::to_string(samples) + " samples");
      expect_reference(contract_network(8, group), {contract_data(samples)});
    }
  }
}

// That the words global, local and k stand for these numbers of shards: tests/unit/loop/setup_test.cpp.
TEST(BatchNormContract, StatisticsSpanTheShardsOfAGroup) {
  const auto train = [](std::int64_t group) {
    return expect_reference(contract_network(8, group), {contract_data(19, 1), contract_data(24, 2)});
  };
  std::set<std::vector<double>> different;
  for (std::int64_t group = 1; group <= 8; ++group) {
    SCOPED_TRACE(group);
    different.insert(numbers_of(train(group).outcome.state).at("bn.running_var"));
  }
  EXPECT_EQ(different.size(), 8);
}

TEST(BatchNormContract, OneValueAChannelInAGroupIsFoundBeforehandOnEveryWorker) {
  struct Case {
    std::int64_t group, samples;
    std::string layer;
  };
  const std::vector<Case> cases{{8, 1, "bn"}, {8, 2, ""},    {3, 3, ""},  {3, 4, "bn"},
                                {3, 7, "bn"}, {3, 8, ""},    {3, 24, ""}, {1, 1, "bn"},
                                {1, 8, "bn"}, {1, 15, "bn"}, {1, 16, ""}, {1, 17, ""}};
  for (const auto& [group, samples, layer] : cases) {
    ModelOptions options = contract_network(8, group);
    options.input = {.height = 1, .width = 1, .channels = 3};
    for (int workers = 1; workers <= 4; ++workers) {
      for (int rank = 0; rank < workers; ++rank) {
        EXPECT_EQ(Model(options, workers, rank).undefined_variance(samples), layer)
            << samples << " samples, " << group << " shards, rank " << rank << " of " << workers;
      }
    }
  }
}

TEST(BatchNormContract, OneValueAChannelNamesTheLayerThatHasIt) {
  ModelOptions options = contract_network();
  options.spec.layers = {{"bn1", BatchNormSpec{}},
                         {"pool", GlobalAvgPoolSpec{}},
                         {"fc1", LinearSpec{.out = 4}},
                         {"bn2", BatchNormSpec{}},
                         {"fc2", LinearSpec{.out = 3}}};
  for (int workers = 1; workers <= 4; ++workers) {
    EXPECT_EQ(Model(options, workers, workers - 1).undefined_variance(1), "bn2") << workers;
  }
}

// It is refused before the first step; should it come to it, no worker goes on.
TEST(BatchNormContract, OneValueAChannelIsNoStep) {
  ModelOptions options = contract_network();
  options.input = {.height = 1, .width = 1, .channels = 3};
  const Data single = random_data(options.input, options.classes, 1);
  EXPECT_EQ(what_diverged(options, {single}), "step 1: the batch statistics of layer 'bn' are not finite");
}

TEST(BatchNormContract, WithoutRunningStatisticsAStepExchangesNoneAndHasTheSameGradients) {
  ModelOptions options = contract_network(8, 1);
  const auto gradients = [&] {
    return run_steps(options, {.workers = 2}, {contract_data(13)}).front().gradients;
  };
  const auto kept = gradients();
  EXPECT_THAT(last_place(), HasSubstr("'running statistics'"));
  options.running_statistics.clear();
  EXPECT_TRUE(gradients() == kept);
  EXPECT_THAT(last_place(), HasSubstr("'loss'"));
}

TEST(BatchNormContract, TwoValuesAChannelHaveAVariance) {
  ModelOptions options = contract_network();
  options.input = {.height = 1, .width = 1, .channels = 3};
  expect_reference(options, {random_data(options.input, options.classes, 2)});
}

}  // namespace
}  // namespace lockstep::testing
