#include "trainer/optim/rules.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep {
namespace {

const std::vector<ParameterRange> ranges{
    {.name = "conv1.weight", .offset = 0, .count = 4},
    {.name = "conv1.bias", .offset = 4, .count = 2, .decays = false},
    {.name = "layer1.0.conv1.weight", .offset = 6, .count = 3},
};

OptimizerConfig with(std::vector<OptimizerRule> rules) {
  OptimizerConfig config;
  config.weight_decay = 0.5;
  config.rules = std::move(rules);
  return config;
}

TEST(Rules, WithoutAnyTheConfigurationDecides) {
  const auto treated = treat(with({}), ranges);
  ASSERT_EQ(treated.size(), 3U);
  EXPECT_EQ(treated[2].offset, 6U);
  EXPECT_EQ(treated[2].count, 3U);
  for (const TreatedRange& range : treated) EXPECT_EQ(range.lr_scale, 1);
  EXPECT_EQ(treated[0].weight_decay, 0.5);
  EXPECT_EQ(treated[1].weight_decay, 0);
}

TEST(Rules, TheLastThatFitsAndHasTheValueWins) {
  const auto treated = treat(with({{.match = "*", .lr_scale = 2, .weight_decay = 0.25},
                                   {.match = "*.bias", .lr_scale = 3, .weight_decay = {}},
                                   {.match = "layer?.*.weight", .lr_scale = {}, .weight_decay = 0.125}}),
                             ranges);
  EXPECT_EQ(treated[0].lr_scale, 2);
  EXPECT_EQ(treated[0].weight_decay, 0.25);
  EXPECT_EQ(treated[1].lr_scale, 3);
  EXPECT_EQ(treated[1].weight_decay, 0.25) << "a rule reaches biases too";
  EXPECT_EQ(treated[2].lr_scale, 2);
  EXPECT_EQ(treated[2].weight_decay, 0.125);
}

TEST(Rules, GoOverDecayAll) {
  OptimizerConfig config = with({{.match = "conv1.*", .lr_scale = {}, .weight_decay = 0}});
  config.decay_all = true;
  const auto treated = treat(config, ranges);
  EXPECT_EQ(treated[1].weight_decay, 0);
  EXPECT_EQ(treated[2].weight_decay, 0.5);
}

TEST(Rules, APatternFitsTheWholeName) {
  const auto fit = [](const std::string& pattern, const std::string& name) {
    return fits({.match = pattern, .lr_scale = {}, .weight_decay = {}}, name);
  };
  EXPECT_TRUE(fit("*.bias", "layer1.0.bn1.bias"));
  EXPECT_TRUE(fit("layer[12].*", "layer2.0.conv1.weight"));
  EXPECT_TRUE(fit("fc?.weight", "fc1.weight"));
  EXPECT_FALSE(fit("bias", "fc1.bias"));
  EXPECT_FALSE(fit("fc?.weight", "fc12.weight"));
  EXPECT_FALSE(fit("layer[12].*", "layer3.0.conv1.weight"));
  EXPECT_FALSE(fit("*.BIAS", "fc1.bias"));
}

}  // namespace
}  // namespace lockstep
