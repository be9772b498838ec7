#include "layers/ops/elementwise.h"

#include <limits>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/gradient_check.h"

namespace lockstep::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

struct ElementwiseTest : ComputeTest {};

TEST_F(ElementwiseTest, ReluIsTheMaximumWithZeroAndKeepsNaN) {
  const auto kernel = tested::make_relu({1, 1, 11}, {1, 1, true});
  const Outcome outcome = run(*kernel, {{{-1, -0.0F, 0, 2, nan, infinity, -infinity, 3, -4, 5, nan}},
                                        {},
                                        {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
                                        {}});
  EXPECT_TRUE(std::isnan(outcome.output[4]) && std::isnan(outcome.output[10]));
  EXPECT_EQ(Values(outcome.output.begin(), outcome.output.begin() + 4), (Values{0, 0, 0, 2}));
  EXPECT_FALSE(std::signbit(outcome.output[1]));
  EXPECT_EQ(outcome.output[5], infinity);
  EXPECT_EQ(outcome.output[6], 0);
  EXPECT_EQ(outcome.input_gradients[0], (Values{0, 0, 0, 4, 0, 6, 0, 8, 0, 10, 0}));
}

TEST_F(ElementwiseTest, ReluBackwardIsTheGradient) {
  const auto kernel = tested::make_relu({3, 3, 5}, {2, 1, true});
  Trial trial;
  trial.inputs = {distinct_values(90, 1.0F / 16, "input")};
  trial.output_gradient = random_values(90, "gradient");
  check_gradients(*kernel, trial, 1.0F / 128);
}

TEST_F(ElementwiseTest, AddSumsAndGivesTheGradientToBoth) {
  const auto kernel = tested::make_add({1, 1, 3}, {1, 1, true});
  const Outcome outcome = run(*kernel, {{{1, 2, 3}, {10, 20, 30}}, {}, {4, 5, 6}, {}});
  EXPECT_EQ(outcome.output, (Values{11, 22, 33}));
  EXPECT_EQ(outcome.input_gradients, (std::vector<Values>{{4, 5, 6}, {4, 5, 6}}));
}

TEST_F(ElementwiseTest, FlattenGivesChannelRowColumn) {
  const auto kernel = tested::make_flatten({2, 2, 3}, {2, 1, true});
  Trial trial;
  trial.inputs = {distinct_values(24, 1, "input")};
  trial.output_gradient = distinct_values(24, 1, "gradient");
  const Outcome outcome = run(*kernel, trial);
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t pixel = 0; pixel < 4; ++pixel) {
      for (std::size_t c = 0; c < 3; ++c) {
        const std::size_t nhwc = n * 12 + pixel * 3 + c;
        const std::size_t chw = n * 12 + c * 4 + pixel;
        EXPECT_EQ(outcome.output[chw], trial.inputs[0][nhwc]);
        EXPECT_EQ(outcome.input_gradients[0][nhwc], trial.output_gradient[chw]);
      }
    }
  }
}

TEST_F(ElementwiseTest, AddIntoSums) {
  Values sum{1, 2, 3};
  tested::add_into(sum, Values{10, 20, 30});
  EXPECT_EQ(sum, (Values{11, 22, 33}));
}

TEST_F(ElementwiseTest, AllFiniteFindsOneBadValueAnywhere) {
  for (const std::size_t size : {1U, 7U, 64U, 100U}) {
    Values values(size, std::numeric_limits<float>::max());
    EXPECT_TRUE(tested::all_finite(values));
    for (const float bad : {nan, infinity, -infinity, -nan}) {
      for (std::size_t i = 0; i < size; ++i) {
        values[i] = bad;
        ASSERT_FALSE(tested::all_finite(values)) << bad << " at " << i;
        values[i] = -1e-40F;
      }
    }
  }
  EXPECT_TRUE(tested::all_finite({}));
}

struct DropoutTest : ComputeTest {
  const SampleShape in{1, 1, 1001};
  const Random random{3, "dropout", "drop1"};

  Outcome drop(std::int64_t samples, const ShardPosition& position, float probability = 0.3F) const {
    const auto kernel = tested::make_dropout(in, probability, random, {samples, 1, true});
    const std::size_t size = samples * in.elements();
    return run(*kernel, {{Values(size, 1.0F)}, {}, Values(size, 1.0F), position});
  }
};

TEST_F(DropoutTest, DropsTheAskedForShareAndScalesTheRest) {
  const Outcome outcome = drop(8, {0, 5, 0});
  const auto dropped = std::count(outcome.output.begin(), outcome.output.end(), 0.0F);
  const auto kept = std::count(outcome.output.begin(), outcome.output.end(), 1 / (1 - 0.3F));
  EXPECT_EQ(dropped + kept, 8008);
  EXPECT_NEAR(static_cast<double>(dropped) / 8008, 0.3, 0.02);  // four standard deviations
}

TEST_F(DropoutTest, BackwardDrawsTheSameMask) {
  const Outcome outcome = drop(3, {0, 5, 7});
  EXPECT_TRUE(same_bits(outcome.output, outcome.input_gradients[0]));
}

TEST_F(DropoutTest, ASampleHasTheSameMaskInWhateverShardItStands) {
  const Values whole = drop(8, {0, 5, 0}).output;
  Values parts = drop(3, {0, 5, 0}).output;
  const Values rest = drop(5, {1, 5, 3}).output;
  parts.insert(parts.end(), rest.begin(), rest.end());
  EXPECT_TRUE(same_bits(whole, parts));
}

TEST_F(DropoutTest, SamplesAndStepsHaveMasksOfTheirOwn) {
  const Values first = drop(1, {0, 5, 0}).output;
  EXPECT_FALSE(same_bits(first, drop(1, {0, 5, 1}).output));
  EXPECT_FALSE(same_bits(first, drop(1, {0, 6, 0}).output));
}

TEST_F(DropoutTest, ZeroKeepsAllAndOneDropsAll) {
  EXPECT_EQ(drop(1, {}, 0).output, Values(1001, 1.0F));
  EXPECT_EQ(drop(1, {}, 1).output, Values(1001, 0.0F));
}

TEST_F(DropoutTest, PassesItsInputThroughInInference) {
  const auto kernel = tested::make_dropout(in, 0.3F, random, {1, 1, false});
  const Values input = random_values(1001, "input");
  Values output(1001);
  ForwardArguments arguments;
  arguments.inputs[0] = input.data();
  arguments.output = output.data();
  kernel->forward(arguments);
  EXPECT_TRUE(same_bits(input, output));
}

}  // namespace
}  // namespace lockstep::test
