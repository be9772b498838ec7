#include <gmock/gmock.h>

#include "config_support.h"

namespace lockstep {
namespace {

TEST(ConfigRules, AreReadInTheirOrder) {
  const auto rules = parse(
                         "optimizer: {rules: [{match: '*.bias', lr_scale: 2, weight_decay: 0}, {match: "
                         "fc1.weight, lr_scale: 0.5}]}")
                         .optimizer.rules;
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].match, "*.bias");
  EXPECT_EQ(rules[0].lr_scale, 2);
  EXPECT_EQ(rules[0].weight_decay, 0);
  EXPECT_EQ(rules[1].match, "fc1.weight");
  EXPECT_EQ(rules[1].lr_scale, 0.5);
  EXPECT_EQ(rules[1].weight_decay, std::nullopt);
}

TEST(ConfigRules, MayBeTakenAway) {
  EXPECT_TRUE(
      parse("optimizer: {rules: [{match: a, lr_scale: 2}]}", {"optimizer.rules=[]"}).optimizer.rules.empty());
}

TEST(ConfigRules, BelongToTheResult) {
  const auto between = [](const std::string& before, const std::string& after) {
    return differences(result_json(parse(before)), result_json(parse(after)));
  };
  EXPECT_THAT(between("optimizer: {rules: [{match: a, lr_scale: 2}]}",
                      "optimizer: {rules: [{match: a, lr_scale: 3}]}"),
              testing::ElementsAre("optimizer.rules[0].lr_scale: 2.0, now 3.0"));
  EXPECT_THAT(between("", "optimizer: {rules: [{match: '*', lr_scale: 3}]}"),
              testing::ElementsAre(R"(optimizer.rules: [], now [{lr_scale: 3.0, match: "*"}])"));
}

TEST(ConfigRules, WhatIsWrongIsToldWithItsPlace) {
  const auto told = [](const std::string& rules) { return mistakes("optimizer: {rules: " + rules + "}"); };
  EXPECT_EQ(told("{match: a}"), "a.yaml:1:20: optimizer.rules: expected a list of rules; found a map");
  EXPECT_EQ(told("[bias]"),
            "a.yaml:1:21: optimizer.rules[0]: expected a rule, as in {match: \"*.bias\", lr_scale: 2, "
            "weight_decay: 0}; "
            "found 'bias'");
  EXPECT_EQ(told("[{match: a, lr_scael: 2, weight_decay: 1}]"),
            "a.yaml:1:32: optimizer.rules[0]: unknown key 'lr_scael'; did you mean 'lr_scale'?");
  EXPECT_EQ(told("[{match: a, lr_scale: -2}]"),
            "a.yaml:1:42: optimizer.rules[0].lr_scale: expected a number, at least 0; found '-2'");
  EXPECT_EQ(told("[{match: '', lr_scale: 2}]"),
            "a.yaml:1:29: optimizer.rules[0].match: expected text, not empty; found the text ''");
  EXPECT_EQ(told("[{match: a, match: b, lr_scale: 2}]"),
            "a.yaml:1:32: optimizer.rules[0]: duplicate key 'match'");
  EXPECT_EQ(told("[{lr_scale: 2}]"),
            "a.yaml:1:21: optimizer.rules[0]: 'match' is missing, the pattern of parameters' names");
  EXPECT_EQ(told("[{match: a}]"),
            "a.yaml:1:21: optimizer.rules[0]: changes nothing: lr_scale or weight_decay is missing");
}

}  // namespace
}  // namespace lockstep
