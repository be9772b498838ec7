#include <ostream>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/gradient_check.h"

namespace lockstep::test {
namespace {

struct ConvolutionCase {
  const char* name;
  SampleShape in;
  std::int64_t out_channels;
  std::int64_t kernel_height, kernel_width;
  std::int64_t stride, padding, groups;
  bool bias;
  std::int64_t samples;
};

std::ostream& operator<<(std::ostream& out, const ConvolutionCase& c) {
  return out << c.name;
}

Convolution convolution_of(const ConvolutionCase& c) {
  const auto extent = [&](std::int64_t size, std::int64_t kernel) {
    return (size + 2 * c.padding - kernel) / c.stride + 1;
  };
  Convolution convolution;
  convolution.in = c.in;
  convolution.out = {extent(c.in.height, c.kernel_height), extent(c.in.width, c.kernel_width),
                     c.out_channels};
  convolution.kernel_height = c.kernel_height;
  convolution.kernel_width = c.kernel_width;
  convolution.stride = c.stride;
  convolution.padding = c.padding;
  convolution.groups = c.groups;
  convolution.bias = c.bias;
  return convolution;
}

Trial trial_of(const Convolution& c, std::int64_t samples) {
  const std::int64_t weights = c.out.channels * c.in.channels / c.groups * c.kernel_height * c.kernel_width;
  Trial trial;
  trial.inputs = {random_values(samples * c.in.elements(), "input")};
  trial.parameters = {random_values(weights, "weight")};
  if (c.bias) trial.parameters.push_back(random_values(c.out.channels, "bias"));
  trial.output_gradient = random_values(samples * c.out.elements(), "gradient");
  return trial;
}

// The definition, in fp64.
std::vector<double> reference(const Convolution& c, std::int64_t samples, const Trial& trial) {
  std::vector<double> output;
  const std::int64_t in_group = c.in.channels / c.groups;
  const std::int64_t out_group = c.out.channels / c.groups;
  for (std::int64_t n = 0; n < samples; ++n) {
    for (std::int64_t row = 0; row < c.out.height; ++row) {
      for (std::int64_t column = 0; column < c.out.width; ++column) {
        for (std::int64_t o = 0; o < c.out.channels; ++o) {
          double sum = c.bias ? trial.parameters[1][o] : 0;
          for (std::int64_t i = 0; i < in_group; ++i) {
            for (std::int64_t kh = 0; kh < c.kernel_height; ++kh) {
              for (std::int64_t kw = 0; kw < c.kernel_width; ++kw) {
                const std::int64_t h = row * c.stride - c.padding + kh;
                const std::int64_t w = column * c.stride - c.padding + kw;
                if (h < 0 || h >= c.in.height || w < 0 || w >= c.in.width) continue;
                const std::int64_t channel = o / out_group * in_group + i;
                const double x =
                    trial.inputs[0][((n * c.in.height + h) * c.in.width + w) * c.in.channels + channel];
                const double weight =
                    trial.parameters[0][((o * in_group + i) * c.kernel_height + kh) * c.kernel_width + kw];
                sum += x * weight;
              }
            }
          }
          output.push_back(sum);
        }
      }
    }
  }
  return output;
}

class ConvolutionTest : public ComputeTest, public testing::WithParamInterface<ConvolutionCase> {};

TEST_P(ConvolutionTest, ForwardIsTheDefinition) {
  const Convolution c = convolution_of(GetParam());
  const Trial trial = trial_of(c, GetParam().samples);
  for (const bool training : {true, false}) {
    const auto kernel = tested::make_convolution(c, {GetParam().samples, 1, training});
    const auto prepared = prepare(*kernel, trial);
    Values output(trial.output_gradient.size());
    const Buffer scratch(kernel->scratch_bytes());
    ForwardArguments arguments;
    arguments.inputs[0] = trial.inputs[0].data();
    arguments.parameters = {trial.parameters[0].data(), c.bias ? trial.parameters[1].data() : nullptr};
    arguments.output = output.data();
    arguments.scratch = scratch.data();
    kernel->forward(arguments);
    const std::vector<double> expected = reference(c, GetParam().samples, trial);
    ASSERT_EQ(expected.size(), output.size());
    for (std::size_t i = 0; i < output.size(); ++i) ASSERT_NEAR(output[i], expected[i], 1e-5) << i;
  }
}

TEST_P(ConvolutionTest, BackwardIsTheGradient) {
  const Convolution c = convolution_of(GetParam());
  const auto kernel = tested::make_convolution(c, {GetParam().samples, 1, true});
  // A convolution is linear in each argument, so a wide step costs nothing.
  check_gradients(*kernel, trial_of(c, GetParam().samples), 0.5F);
}

TEST_P(ConvolutionTest, WeightGradientsAreTheSameWithoutAnInputGradient) {
  const Convolution c = convolution_of(GetParam());
  const auto kernel = tested::make_convolution(c, {GetParam().samples, 1, true});
  Trial trial = trial_of(c, GetParam().samples);
  const auto prepared = prepare(*kernel, trial);
  const Outcome all = run(*kernel, trial);
  trial.want_input_gradient = false;
  const Outcome some = run(*kernel, trial);
  EXPECT_TRUE(same_bits(all.parameter_gradients, some.parameter_gradients));
  EXPECT_TRUE(std::isnan(some.input_gradients[0][0]));
}

INSTANTIATE_TEST_SUITE_P(
    Variants, ConvolutionTest,
    testing::Values(ConvolutionCase{"one_channel", {6, 5, 1}, 8, 3, 3, 1, 1, 1, false, 2},
                    ConvolutionCase{"three_channels", {6, 6, 3}, 16, 3, 3, 1, 1, 1, false, 2},
                    ConvolutionCase{"bias", {5, 5, 8}, 8, 3, 3, 1, 1, 1, true, 2},
                    ConvolutionCase{"stride", {7, 7, 8}, 8, 3, 3, 2, 1, 1, false, 2},
                    ConvolutionCase{"stride_on_even_size", {6, 6, 8}, 8, 3, 3, 2, 1, 1, false, 1},
                    ConvolutionCase{"no_padding", {5, 5, 4}, 4, 3, 3, 1, 0, 1, true, 2},
                    ConvolutionCase{"wide_padding", {4, 4, 3}, 5, 5, 5, 1, 2, 1, true, 1},
                    ConvolutionCase{"one_by_one", {4, 4, 16}, 8, 1, 1, 1, 0, 1, false, 2},
                    ConvolutionCase{"one_by_one_stride", {4, 4, 16}, 32, 1, 1, 2, 0, 1, false, 2},
                    ConvolutionCase{"odd_channels", {4, 4, 5}, 11, 3, 3, 1, 1, 1, true, 3},
                    ConvolutionCase{"groups", {4, 4, 16}, 16, 3, 3, 1, 1, 2, true, 2},
                    ConvolutionCase{"odd_groups", {4, 4, 9}, 6, 3, 3, 1, 1, 3, true, 2},
                    ConvolutionCase{"depthwise", {5, 5, 16}, 16, 3, 3, 1, 1, 16, true, 2},
                    ConvolutionCase{"odd_depthwise", {5, 5, 7}, 7, 3, 3, 2, 1, 7, false, 2},
                    ConvolutionCase{"tall_kernel", {6, 5, 4}, 8, 3, 1, 1, 0, 1, false, 2}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace lockstep::test
