#include "trainer/optim/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using Name = OptimizerConfig::Name;

// Values without a pattern that a wrong index could hide in, of both signs, in about [-1, 1].
std::vector<float> values(std::size_t count, double phase) {
  std::vector<float> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    result[i] = static_cast<float>(std::sin(phase + 1.7 * static_cast<double>(i * i % 1013)));
  }
  return result;
}

std::vector<ParameterRange> whole(std::size_t count, bool decays = true) {
  return {{.name = "all", .offset = 0, .count = count, .decays = decays}};
}

OptimizerConfig sgd(double momentum, bool nesterov, double weight_decay) {
  OptimizerConfig config;
  config.name = Name::sgd;
  config.momentum = momentum;
  config.nesterov = nesterov;
  config.weight_decay = weight_decay;
  return config;
}

OptimizerConfig adamw(double weight_decay) {
  OptimizerConfig config;
  config.name = Name::adamw;
  config.weight_decay = weight_decay;
  return config;
}

// One parameter, in fp64, from the definitions.
struct Reference {
  OptimizerConfig config;
  double p = 0, buffer = 0, m = 0, v = 0;

  void update(double g, double lr, int step) {
    if (config.name == Name::sgd) {
      const double d = g + config.weight_decay * p;
      buffer = config.momentum * buffer + d;
      p -= lr * (config.nesterov ? d + config.momentum * buffer : buffer);
      return;
    }
    const int t = step + 1;
    p -= lr * config.weight_decay * p;
    m = config.beta1 * m + (1 - config.beta1) * g;
    v = config.beta2 * v + (1 - config.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(config.beta1, t));
    const double v_hat = v / (1 - std::pow(config.beta2, t));
    p -= lr * m_hat / (std::sqrt(v_hat) + config.eps);
  }
};

struct Case {
  std::string name;
  OptimizerConfig config;

  friend std::ostream& operator<<(std::ostream& out, const Case& tested) { return out << tested.name; }
};

class EveryOptimizer : public testing::TestWithParam<Case> {};

TEST_P(EveryOptimizer, FollowsItsDefinitionInDoublePrecision) {
  constexpr std::size_t count = 37;
  std::vector<float> p = values(count, 0.3);
  std::vector<Reference> reference(count, Reference{GetParam().config});
  for (std::size_t i = 0; i < count; ++i) reference[i].p = p[i];
  auto optimizer = make_optimizer(GetParam().config, whole(count), count);

  for (int step = 0; step < 25; ++step) {
    const std::vector<float> g = values(count, 2.0 + step);
    const double lr = 0.05 / (1 + step);
    optimizer->update(p, g, lr, step);
    for (std::size_t i = 0; i < count; ++i) reference[i].update(g[i], lr, step);
  }
  for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(p[i], reference[i].p, 2e-6) << i;
}

TEST_P(EveryOptimizer, GivesTheSameBitsHoweverTheArenaIsCut) {
  constexpr std::size_t count = 101;
  const std::vector<ParameterRange> cut{{.name = "a", .offset = 0, .count = 1},
                                        {.name = "b", .offset = 1, .count = 7},
                                        {.name = "c", .offset = 8, .count = 0},
                                        {.name = "d", .offset = 8, .count = 90},
                                        {.name = "e", .offset = 98, .count = 3}};
  std::vector<float> p_whole = values(count, 0.3);
  std::vector<float> p_cut = p_whole;
  auto one = make_optimizer(GetParam().config, whole(count), count);
  auto many = make_optimizer(GetParam().config, cut, count);

  for (int step = 0; step < 5; ++step) {
    const std::vector<float> g = values(count, 1.0 + step);
    one->update(p_whole, g, 0.1, step);
    many->update(p_cut, g, 0.1, step);
  }
  EXPECT_EQ(p_whole, p_cut);
  const auto state_one = one->state();
  const auto state_many = many->state();
  ASSERT_EQ(state_one.size(), state_many.size());
  for (std::size_t s = 0; s < state_one.size(); ++s) {
    EXPECT_EQ(state_one[s].name, state_many[s].name);
    EXPECT_TRUE(std::ranges::equal(state_one[s].values, state_many[s].values));
  }
}

TEST_P(EveryOptimizer, GoesOnFromItsSavedStateBitForBit) {
  constexpr std::size_t count = 19;
  std::vector<float> p = values(count, 0.3);
  auto straight = make_optimizer(GetParam().config, whole(count), count);
  straight->update(p, values(count, 1), 0.1, 0);
  straight->update(p, values(count, 2), 0.1, 1);

  std::vector<float> p_resumed = p;
  auto resumed = make_optimizer(GetParam().config, whole(count), count);
  const auto saved = straight->state();
  const auto restored = resumed->state();
  for (std::size_t s = 0; s < saved.size(); ++s)
    std::ranges::copy(saved[s].values, restored[s].values.begin());

  straight->update(p, values(count, 3), 0.1, 2);
  resumed->update(p_resumed, values(count, 3), 0.1, 2);
  EXPECT_EQ(p, p_resumed);
}

TEST_P(EveryOptimizer, LeavesWhatLiesBetweenTheRangesAlone) {
  std::vector<float> p = values(8, 0.3);
  const std::vector<float> before = p;
  auto optimizer = make_optimizer(
      GetParam().config, {{.name = "a", .offset = 0, .count = 3}, {.name = "b", .offset = 5, .count = 3}}, 8);
  optimizer->update(p, values(8, 1), 0.1, 0);
  for (const std::size_t i : {3U, 4U}) EXPECT_EQ(p[i], before[i]) << i;
  for (const std::size_t i : {0U, 2U, 5U, 7U}) EXPECT_NE(p[i], before[i]) << i;
}

TEST_P(EveryOptimizer, DecaysOnlyTheRangesThatDecay) {
  const std::vector<float> start(4, 1.0F);
  const std::vector<float> no_gradient(4, 0.0F);
  OptimizerConfig config = GetParam().config;
  config.weight_decay = 0.5;
  const std::vector<ParameterRange> ranges{{.name = "weight", .offset = 0, .count = 2},
                                           {.name = "bias", .offset = 2, .count = 2, .decays = false}};
  std::vector<float> p = start;
  make_optimizer(config, ranges, 4)->update(p, no_gradient, 0.1, 0);
  EXPECT_LT(p[1], 1.0F);
  EXPECT_EQ(p[2], 1.0F);

  config.decay_all = true;
  std::vector<float> p_all = start;
  make_optimizer(config, ranges, 4)->update(p_all, no_gradient, 0.1, 0);
  EXPECT_EQ(p_all, std::vector<float>(4, p[1]));
}

TEST_P(EveryOptimizer, MovesWhatARuleFitsAsAnOptimizerWithItsValuesWould) {
  OptimizerConfig ruled = GetParam().config;
  ruled.rules = {{.match = "*.bias", .lr_scale = 2, .weight_decay = 0.25}};
  OptimizerConfig own = GetParam().config;
  own.weight_decay = 0.25;
  const std::vector<ParameterRange> ranges{{.name = "a.weight", .offset = 0, .count = 5},
                                           {.name = "a.bias", .offset = 5, .count = 3, .decays = false}};
  std::vector<float> p = values(8, 0.3);
  std::vector<float> p_plain = p;
  std::vector<float> p_own = p;
  const auto optimizer = make_optimizer(ruled, ranges, 8);
  const auto plain = make_optimizer(GetParam().config, ranges, 8);
  const auto doubled = make_optimizer(own, whole(8), 8);
  for (int step = 0; step < 4; ++step) {
    const std::vector<float> g = values(8, 1.0 + step);
    optimizer->update(p, g, 0.1, step);
    plain->update(p_plain, g, 0.1, step);
    doubled->update(p_own, g, 0.2, step);
  }
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(p[i], i < 5 ? p_plain[i] : p_own[i]) << i;
}

TEST_P(EveryOptimizer, LeavesWhatARuleFreezesToTheBit) {
  OptimizerConfig config = GetParam().config;
  config.rules = {{.match = "all", .lr_scale = 0, .weight_decay = {}}};
  std::vector<float> p = values(8, 0.3);
  const std::vector<float> before = p;
  const auto optimizer = make_optimizer(config, whole(8), 8);
  for (int step = 0; step < 3; ++step) optimizer->update(p, values(8, 1.0 + step), 0.1, step);
  EXPECT_EQ(p, before);
}

TEST_P(EveryOptimizer, RefusesRangesThatOverlapOrLeaveTheArena) {
  const OptimizerConfig& config = GetParam().config;
  EXPECT_THROW(make_optimizer(config, {{.name = "a", .offset = 4, .count = 5}}, 8), std::logic_error);
  EXPECT_THROW(make_optimizer(config, {{.name = "a", .offset = 9, .count = 0}}, 8), std::logic_error);
  EXPECT_THROW(make_optimizer(config, {{.name = "b", .offset = 3, .count = 2}, {.name = "a", .count = 4}}, 8),
               std::logic_error);
}

TEST_P(EveryOptimizer, RefusesArenasOfAnotherLength) {
  auto optimizer = make_optimizer(GetParam().config, whole(4), 4);
  std::vector<float> four(4);
  std::vector<float> three(3);
  EXPECT_THROW(optimizer->update(three, four, 0.1, 0), std::logic_error);
  EXPECT_THROW(optimizer->update(four, three, 0.1, 0), std::logic_error);
}

INSTANTIATE_TEST_SUITE_P(Optimizers, EveryOptimizer,
                         testing::Values(Case{"PlainSgd", sgd(0, false, 1e-2)},
                                         Case{"Momentum", sgd(0.9, false, 1e-2)},
                                         Case{"Nesterov", sgd(0.9, true, 1e-2)}, Case{"AdamW", adamw(1e-1)}),
                         [](const auto& tested) { return tested.param.name; });

// torch.optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.01) on p = 1, gradients 0.5 and 0.25, by hand:
//   d = 0.51                 buf = 0.51    p = 1 − 0.051 = 0.949
//   d = 0.25949              buf = 0.71849 p = 0.949 − 0.071849 = 0.877151
TEST(Sgd, WithMomentumMatchesPyTorchByHand) {
  std::vector<float> p{1.0F};
  auto optimizer = make_optimizer(sgd(0.9, false, 0.01), whole(1), 1);
  optimizer->update(p, std::vector<float>{0.5F}, 0.1, 0);
  EXPECT_FLOAT_EQ(p[0], 0.949F);
  optimizer->update(p, std::vector<float>{0.25F}, 0.1, 1);
  EXPECT_FLOAT_EQ(p[0], 0.877151F);
  ASSERT_EQ(optimizer->state().size(), 1U);
  EXPECT_EQ(optimizer->state()[0].name, "momentum");
  EXPECT_FLOAT_EQ(optimizer->state()[0].values[0], 0.71849F);
}

// The same with nesterov=True:
//   d = 0.51       buf = 0.51      p = 1 − 0.1·(0.51 + 0.459) = 0.9031
//   d = 0.259031   buf = 0.718031  p = 0.9031 − 0.1·(0.259031 + 0.6462279) = 0.81257411
TEST(Sgd, WithNesterovMatchesPyTorchByHand) {
  std::vector<float> p{1.0F};
  auto optimizer = make_optimizer(sgd(0.9, true, 0.01), whole(1), 1);
  optimizer->update(p, std::vector<float>{0.5F}, 0.1, 0);
  EXPECT_FLOAT_EQ(p[0], 0.9031F);
  optimizer->update(p, std::vector<float>{0.25F}, 0.1, 1);
  EXPECT_FLOAT_EQ(p[0], 0.81257411F);
}

TEST(Sgd, WithoutMomentumKeepsNoState) {
  EXPECT_TRUE(make_optimizer(sgd(0, true, 0), whole(3), 3)->state().empty());
}

// torch.optim.AdamW(lr=0.1, weight_decay=0.01) on p = 1. In the first step m̂ = g and √v̂ = |g|, so the step is
// lr: p = 1·(1 − 0.001) − 0.1 = 0.899. Then with g = 0.25 after 0.5:
//   m = 0.9·0.05 + 0.025 = 0.07               m̂ = 0.07/0.19 = 0.36842105
//   v = 0.999·0.00025 + 0.0000625 = 0.00031225 v̂ = 0.00031225/0.001999 = 0.15620310, √v̂ = 0.39522538
//   p = 0.899·0.999 − 0.1·0.36842105/0.39522538 = 0.80488320
TEST(AdamW, MatchesPyTorchByHand) {
  std::vector<float> p{1.0F};
  auto optimizer = make_optimizer(adamw(0.01), whole(1), 1);
  optimizer->update(p, std::vector<float>{0.5F}, 0.1, 0);
  EXPECT_NEAR(p[0], 0.899, 1e-6);
  optimizer->update(p, std::vector<float>{0.25F}, 0.1, 1);
  EXPECT_NEAR(p[0], 0.80488320, 1e-6);
  const auto state = optimizer->state();
  ASSERT_EQ(state.size(), 2U);
  EXPECT_EQ(state[0].name, "exp_avg");
  EXPECT_NEAR(state[0].values[0], 0.07, 1e-8);
  EXPECT_EQ(state[1].name, "exp_avg_sq");
  EXPECT_NEAR(state[1].values[0], 0.00031225, 1e-10);
}

TEST(StateArenas, CountWhatAnOptimizerKeeps) {
  for (const auto name : {OptimizerConfig::Name::sgd, OptimizerConfig::Name::adamw}) {
    OptimizerConfig config;
    config.name = name;
    EXPECT_EQ(make_optimizer(config, {}, 16)->state().size(), state_arenas(config));
  }
}

}  // namespace
}  // namespace lockstep
