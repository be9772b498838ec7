#include <limits>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/gradient_check.h"

namespace lockstep::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

Pooling pooling_of(Pooling::Kind kind, const SampleShape& in, std::int64_t window, std::int64_t stride,
                   std::int64_t padding) {
  const auto extent = [&](std::int64_t size) { return (size + 2 * padding - window) / stride + 1; };
  return {kind, in, {extent(in.height), extent(in.width), in.channels}, window, stride, padding};
}

// The definition, in fp64: padding takes no part.
std::vector<double> reference(const Pooling& p, std::int64_t samples, const Values& input) {
  std::vector<double> output;
  for (std::int64_t n = 0; n < samples; ++n) {
    for (std::int64_t row = 0; row < p.out.height; ++row) {
      for (std::int64_t column = 0; column < p.out.width; ++column) {
        for (std::int64_t c = 0; c < p.in.channels; ++c) {
          double sum = 0;
          double best = -std::numeric_limits<double>::infinity();
          int count = 0;
          for (std::int64_t i = 0; i < p.window * p.window; ++i) {
            const std::int64_t h = row * p.stride - p.padding + i / p.window;
            const std::int64_t w = column * p.stride - p.padding + i % p.window;
            if (h < 0 || h >= p.in.height || w < 0 || w >= p.in.width) continue;
            const double x = input[((n * p.in.height + h) * p.in.width + w) * p.in.channels + c];
            sum += x;
            best = std::max(best, x);
            ++count;
          }
          output.push_back(p.kind == Pooling::Kind::max ? best : sum / count);
        }
      }
    }
  }
  return output;
}

struct Variant {
  SampleShape in;
  std::int64_t window, stride, padding;
};
const std::vector<Variant> variants{{{4, 4, 8}, 2, 2, 0},
                                    {{5, 7, 3}, 2, 2, 0},
                                    {{6, 6, 1}, 3, 2, 1},
                                    {{5, 5, 10}, 3, 1, 1},
                                    {{4, 4, 33}, 4, 4, 0}};

using PoolingTest = ComputeTest;

TEST_F(PoolingTest, ForwardAndBackwardAreTheDefinitionAndItsGradient) {
  for (const auto kind : {Pooling::Kind::max, Pooling::Kind::average}) {
    for (const Variant& v : variants) {
      SCOPED_TRACE(to_string(v.in));
      const Pooling p = pooling_of(kind, v.in, v.window, v.stride, v.padding);
      const auto kernel = tested::make_pooling(p, {2, 1, true});
      Trial trial;
      trial.inputs = {distinct_values(2 * p.in.elements(), 1.0F / 16, "input")};
      trial.output_gradient = random_values(2 * p.out.elements(), "gradient");
      const std::vector<double> expected = reference(p, 2, trial.inputs[0]);
      const Values output = run(*kernel, trial).output;
      ASSERT_EQ(output.size(), expected.size());
      for (std::size_t i = 0; i < output.size(); ++i) ASSERT_NEAR(output[i], expected[i], 1e-5) << i;
      check_gradients(*kernel, trial, 1.0F / 128);
    }
  }
}

TEST_F(PoolingTest, MaxGivesTheGradientOfATieToTheFirst) {
  const auto kernel = tested::make_pooling(pooling_of(Pooling::Kind::max, {2, 4, 1}, 2, 2, 0), {1, 1, true});
  const Outcome outcome = run(*kernel, {{{1, 3, 5, 5, 3, 3, 5, 5}}, {}, {10, 20}, {}});
  EXPECT_EQ(outcome.output, (Values{3, 5}));
  EXPECT_EQ(outcome.input_gradients[0], (Values{0, 10, 20, 0, 0, 0, 0, 0}));
}

TEST_F(PoolingTest, MaxKeepsNaNWhereverItStands) {
  const auto kernel = tested::make_pooling(pooling_of(Pooling::Kind::max, {2, 2, 1}, 2, 2, 0), {1, 1, true});
  for (std::size_t i = 0; i < 4; ++i) {
    Values input{1, 2, 3, 4};
    input[i] = nan;
    const Outcome outcome = run(*kernel, {{input}, {}, {1}, {}});
    EXPECT_TRUE(std::isnan(outcome.output[0])) << i;
    EXPECT_EQ(outcome.input_gradients[0][i], 1) << i;
  }
}

TEST_F(PoolingTest, MaxOfMinusInfinityStaysMinusInfinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto kernel = tested::make_pooling(pooling_of(Pooling::Kind::max, {2, 2, 1}, 2, 2, 0), {1, 1, true});
  EXPECT_EQ(run(*kernel, {{Values(4, -infinity)}, {}, {1}, {}}).output[0], -infinity);
}

TEST_F(PoolingTest, AverageDoesNotCountThePadding) {
  const auto kernel =
      tested::make_pooling(pooling_of(Pooling::Kind::average, {2, 2, 1}, 3, 2, 1), {1, 1, true});
  EXPECT_EQ(run(*kernel, {{{1, 2, 3, 6}}, {}, {1}, {}}).output[0], 3);
}

TEST_F(PoolingTest, AWindowInsideThePaddingIsRefused) {
  EXPECT_THROW(tested::make_pooling(pooling_of(Pooling::Kind::max, {4, 4, 1}, 2, 2, 2), {1, 1, true}),
               std::logic_error);
}

TEST_F(PoolingTest, GlobalAverageIsTheMeanAndItsGradient) {
  for (const SampleShape& in : {SampleShape{7, 7, 5}, SampleShape{1, 1, 3}, SampleShape{2, 3, 64}}) {
    const auto kernel = tested::make_global_average_pooling(in, {2, 1, true});
    Trial trial;
    trial.inputs = {random_values(2 * in.elements(), "input")};
    trial.output_gradient = random_values(2 * in.channels, "gradient");
    const Values output = run(*kernel, trial).output;
    for (std::int64_t n = 0; n < 2; ++n) {
      for (std::int64_t c = 0; c < in.channels; ++c) {
        double sum = 0;
        for (std::int64_t p = 0; p < in.pixels(); ++p) {
          sum += trial.inputs[0][(n * in.pixels() + p) * in.channels + c];
        }
        ASSERT_NEAR(output[n * in.channels + c], sum / in.pixels(), 1e-7);
      }
    }
    check_gradients(*kernel, trial, 0.5F);
  }
}

}  // namespace
}  // namespace lockstep::test
