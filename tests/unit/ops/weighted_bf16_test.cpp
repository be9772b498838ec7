// Convolutions and linear layers that read and write bf16, beside the same in fp32.
#include <functional>
#include <memory>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/harness.h"

namespace lockstep::test {
namespace {

struct WeightedBf16Test : ComputeTest {};

struct Weighted {
  const char* name;
  std::function<std::unique_ptr<Kernel>(const KernelShape&)> make;
  Trial trial;
};

Weighted convolution(const char* name, const Convolution& c, std::int64_t samples) {
  Trial trial;
  trial.inputs = {bf16_values(samples * c.in.elements(), "input")};
  trial.parameters = {
      random_values(c.out.channels * c.in.channels / c.groups * c.kernel_height * c.kernel_width, "weight")};
  if (c.bias) trial.parameters.push_back(random_values(c.out.channels, "bias"));
  trial.output_gradient = bf16_values(samples * c.out.elements(), "gradient");
  return {name,
          [=](KernelShape shape) {
            shape.samples = samples;
            return tested::make_convolution(c, shape);
          },
          trial};
}

std::vector<Weighted> weighted_kernels() {
  std::vector<Weighted> all;
  all.push_back(convolution("3x3", {{16, 16, 16}, {16, 16, 16}, 3, 3, 1, 1, 1, false}, 4));
  all.push_back(convolution("stride 2", {{16, 16, 16}, {8, 8, 32}, 3, 3, 2, 1, 1, false}, 4));
  all.push_back(convolution("1x1", {{16, 16, 16}, {8, 8, 32}, 1, 1, 2, 0, 1, false}, 4));
  all.push_back(convolution("64 channels", {{8, 8, 64}, {8, 8, 64}, 3, 3, 1, 1, 1, false}, 8));
  all.push_back(convolution("one channel", {{14, 14, 1}, {14, 14, 32}, 3, 3, 1, 1, 1, true}, 4));
  all.push_back(convolution("three channels", {{16, 16, 3}, {16, 16, 16}, 3, 3, 1, 1, 1, false}, 4));
  all.push_back(convolution("7x7 of images", {{28, 28, 3}, {14, 14, 64}, 7, 7, 2, 3, 1, false}, 2));
  all.push_back(convolution("odd channels", {{8, 8, 5}, {8, 8, 11}, 3, 3, 1, 1, 1, true}, 4));
  all.push_back(convolution("groups", {{8, 8, 16}, {8, 8, 16}, 3, 3, 1, 1, 2, true}, 4));
  all.push_back(convolution("depthwise", {{8, 8, 16}, {8, 8, 16}, 3, 3, 1, 1, 16, true}, 4));
  Trial linear{{bf16_values(std::size_t{16} * 784, "input")},
               {random_values(std::size_t{784} * 128, "weight"), random_values(128, "bias")},
               bf16_values(std::size_t{16} * 128, "gradient"),
               {}};
  all.push_back({"linear",
                 [](KernelShape shape) {
                   shape.samples = 16;
                   return tested::make_linear({784, 128, true}, shape);
                 },
                 linear});
  return all;
}

// |got − exact| ≤ relative · |exact| + absolute · the largest of exact, everywhere.
void expect_near(const Values& got, const Values& exact, float relative, float absolute, const char* what) {
  ASSERT_EQ(got.size(), exact.size());
  float largest = 0;
  for (const float value : exact) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], exact[i], relative * std::abs(exact[i]) + absolute * largest)
        << what << ", element " << i;
  }
}

// Beside the fp32 kernels on the same numbers: activations are rounded to bf16, sums and weight gradients are
// not.
TEST_F(WeightedBf16Test, ConvolutionsAndLinearLayersSumInFp32) {
  if (!tested::computes_in(Element::bf16)) GTEST_SKIP() << "this processor computes nothing in bf16";
  constexpr float half_unit = 0x1p-8F;
  for (const Weighted& it : weighted_kernels()) {
    SCOPED_TRACE(it.name);
    const auto kernel = it.make({.element = Element::bf16});
    const auto prepared = prepare(*kernel, it.trial);
    const Outcome got = run<Bf16>(*kernel, it.trial);
    Trial with_rounded_weight = it.trial;
    with_rounded_weight.parameters[0] = rounded<Bf16>(it.trial.parameters[0]);
    const auto exact_kernel = it.make({});
    const auto exact_prepared = prepare(*exact_kernel, with_rounded_weight);
    const Outcome exact = run(*exact_kernel, with_rounded_weight);
    expect_near(got.output, exact.output, half_unit, 1e-6F, "output");
    expect_near(got.input_gradients[0], exact.input_gradients[0], half_unit, 1e-6F, "input's gradient");
    for (std::size_t i = 0; i < got.parameter_gradients.size(); ++i) {
      expect_near(got.parameter_gradients[i], exact.parameter_gradients[i], 1e-6F, 4e-6F,
                  "parameter's gradient");
    }
  }
}

// What nothing but the library's reference code covers would be slower than fp32.
TEST_F(WeightedBf16Test, NothingRunsOnReferenceCode) {
  if (!tested::computes_in(Element::bf16)) GTEST_SKIP() << "this processor computes nothing in bf16";
  for (const Weighted& it : weighted_kernels()) {
    for (const BarePrimitive& primitive : it.make({.element = Element::bf16})->bare_primitives()) {
      EXPECT_FALSE(is_reference(primitive.implementation))
          << it.name << ", pass " << static_cast<int>(primitive.pass) << ": " << primitive.implementation;
    }
  }
}

}  // namespace
}  // namespace lockstep::test
