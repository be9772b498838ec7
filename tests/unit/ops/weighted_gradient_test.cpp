#include "layers/ops/kernels.h"
#include "tests/unit/ops/harness.h"

// Weight gradients in the layout in which oneDNN makes them.
namespace lockstep::test {
namespace {

constexpr std::int64_t samples = 2;

struct WeightedGradientTest : ComputeTest {};

Convolution three_by_three(std::int64_t channels) {
  return {{6, 6, channels}, {6, 6, channels}, 3, 3, 1, 1, 1, false};
}

TEST_F(WeightedGradientTest, ANativeOneIsThePlainOneInAnotherOrder) {
  const Convolution c = three_by_three(32);
  Trial trial{{bf16_values(samples * c.in.elements(), "input")},
              {random_values(std::size_t{32} * 32 * 9, "weight")},
              bf16_values(samples * c.out.elements(), "gradient"),
              {}};
  for (const Element element : elements_here()) {
    const auto kernel = tested::make_convolution(c, {.samples = samples, .element = element});
    ASSERT_TRUE(kernel->has_native_gradient());
    const auto prepared = prepare(*kernel, trial);
    trial.native_gradient = false;
    const Values plain = run(*kernel, element, trial).parameter_gradients[0];
    trial.native_gradient = true;
    const Values native = run(*kernel, element, trial).parameter_gradients[0];
    EXPECT_FALSE(same_bits(native, plain));
    Values brought(plain.size());
    const Buffer scratch(kernel->scratch_bytes());
    kernel->plain_gradient(native.data(), brought.data(), scratch.data());
    EXPECT_TRUE(same_bits(brought, plain));
  }
}

// Its blocks are filled up: there is no room for it where the plain one lies.
TEST_F(WeightedGradientTest, OneOfOddChannelsIsPlain) {
  const auto kernel = tested::make_convolution(three_by_three(11), {.samples = samples});
  EXPECT_FALSE(kernel->has_native_gradient());
}

TEST_F(WeightedGradientTest, WithoutTrainingThereIsNone) {
  const auto kernel = tested::make_convolution(three_by_three(32), {.samples = samples, .training = false});
  EXPECT_FALSE(kernel->has_native_gradient());
}

}  // namespace
}  // namespace lockstep::test
