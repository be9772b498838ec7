#include "trainer/loop/setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "comm/base/error.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

// The parameters by role that an update without gradients moves: those that decay.
std::map<Parameter::Role, bool> moved_by_decay(bool decay_all) {
  Config config;
  config.model = {.name = "mlp", .layers = {}, .hidden = {6}};
  config.optimizer.weight_decay = 0.5;
  config.optimizer.decay_all = decay_all;
  Model model(model_options(config, {{4, 4, 1}, 3}), 1, 0);
  std::ranges::fill(model.arena(), 1.0F);
  const std::vector<float> no_gradients(model.arena().size());
  make_optimizer(config, model)->update(model.arena(), no_gradients, 0.1, 0);

  std::map<Parameter::Role, bool> moved;
  for (const Parameter& parameter : model.parameters()) {
    moved[parameter.role] |= model.arena()[parameter.offset] != 1.0F;
  }
  return moved;
}

TEST(Workload, HasTheLastBatchesWhereTheyAreSmaller) {
  Config config;
  config.batch.global = 30;
  config.evaluation.batch = 20;
  EXPECT_EQ(workload(config, 95, 33).last, 5);
  EXPECT_EQ(workload(config, 95, 33).last_evaluation, 13);
  EXPECT_EQ(workload(config, 90, 40).last, 0);
  EXPECT_EQ(workload(config, 90, 40).last_evaluation, 0);
  EXPECT_EQ(workload(config).last, 0);
  config.data.drop_last = true;
  EXPECT_EQ(workload(config, 95, 33).last, 0);
}

TEST(MakeOptimizer, DecaysWeightsAloneUnlessAsked) {
  using enum Parameter::Role;
  const std::map<Parameter::Role, bool> weights_alone{
      {weight, true}, {bias, false}, {norm_scale, false}, {norm_shift, false}};
  EXPECT_EQ(moved_by_decay(false), weights_alone);
  const std::map<Parameter::Role, bool> all{
      {weight, true}, {bias, true}, {norm_scale, true}, {norm_shift, true}};
  EXPECT_EQ(moved_by_decay(true), all);
}

TEST(MakeOptimizer, TellsWhichRuleFitsNothingAndWhatIsNear) {
  Config config;
  config.model = {.name = "mlp", .layers = {}, .hidden = {6}};
  Model model(model_options(config, {{4, 4, 1}, 3}), 1, 0);
  config.optimizer.rules = {{.match = "*.bias", .lr_scale = 2, .weight_decay = {}}};
  EXPECT_NO_THROW(make_optimizer(config, model));
  EXPECT_EQ(parameters_that_fit(config.optimizer.rules[0], model), 2);
  config.optimizer.rules.push_back({.match = "*.bais", .lr_scale = 2, .weight_decay = {}});
  try {
    make_optimizer(config, model);
    ADD_FAILURE();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(),
                testing::MatchesRegex("optimizer.rules.1.: no parameter .*fits '\\*\\.bais'; near are "
                                      "'[a-z0-9]+\\.bias', '[a-z0-9]+\\.bias', .*"));
  }
}

std::int64_t shards_of_a_group(const std::string& sync, std::int64_t shards) {
  Config config;
  config.batch.shards = shards;
  config.normalization.sync = sync;
  return model_options(config, {{4, 4, 1}, 3}).statistics_group;
}

// Equal options are equal bits.
TEST(ModelOptions, AllShardsAreGlobalOneIsLocalAndWithOneShardBothAreTheSame) {
  EXPECT_EQ(shards_of_a_group("global", 8), 8);
  EXPECT_EQ(shards_of_a_group("8", 8), 8);
  EXPECT_EQ(shards_of_a_group("local", 8), 1);
  EXPECT_EQ(shards_of_a_group("1", 8), 1);
  EXPECT_EQ(shards_of_a_group("3", 8), 3);
  for (const std::string sync : {"global", "local", "1"}) EXPECT_EQ(shards_of_a_group(sync, 1), 1) << sync;
}

// What is said on every worker of 1, 2, 3 and 4 about training on `samples` images of one pixel; empty where
// nothing is wrong.
std::string said_of_variance(Config config, std::int64_t samples) {
  config.model = {.name = "mlp", .layers = {}, .hidden = {6, 5}};
  config.batch = {.global = 8, .shards = 4};
  const StepCount steps = count_steps(config, samples);
  std::set<std::string> said;
  for (int workers = 1; workers <= 4; ++workers) {
    for (int rank = 0; rank < workers; ++rank) {
      const Model model(model_options(config, {{1, 1, 4}, 3}), workers, rank);
      try {
        check_variance(config, model, samples, steps);
        said.insert("");
      } catch (const UsageError& error) {
        said.insert(error.what());
      }
    }
  }
  EXPECT_EQ(said.size(), 1);
  return *said.begin();
}

TEST(CheckVariance, RefusesOneValueAChannelNamingStepLayerAndRemedies) {
  Config config;
  EXPECT_EQ(said_of_variance(config, 18), "");  // 8, 8, 2
  EXPECT_EQ(
      said_of_variance(config, 17),
      "step 3 trains on 1 sample(s) in 4 shards: in layer 'bn1' a channel would have a single value in a "
      "group of shards (normalization.sync: global), and no variance. Set data.drop_last: true, another "
      "batch.global or batch.shards");
  config.data.drop_last = true;
  EXPECT_EQ(said_of_variance(config, 17), "");
}

TEST(CheckVariance, KnowsTheGroupsOfShards) {
  Config config;
  config.normalization.sync = std::string("local");
  EXPECT_EQ(said_of_variance(config, 16), "");
  EXPECT_THAT(said_of_variance(config, 15), HasSubstr("step 2 trains on 7 sample(s)"));  // 2, 2, 2, 1
  config.normalization.sync = std::string("3");
  EXPECT_EQ(said_of_variance(config, 16), "");
  EXPECT_THAT(said_of_variance(config, 12), HasSubstr("(normalization.sync: 3)"));  // 3 and 1
}

TEST(CheckVariance, LooksAtNoStepThatIsNotTaken) {
  Config config;
  config.schedule.epochs.reset();
  config.schedule.steps = 2;
  EXPECT_EQ(said_of_variance(config, 17), "");
  config.schedule.steps = 3;
  EXPECT_THAT(said_of_variance(config, 17), HasSubstr("step 3"));
}

}  // namespace
}  // namespace lockstep
