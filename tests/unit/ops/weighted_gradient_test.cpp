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

// Of the weight, by a backward pass on the same random values as any other.
Values gradient(const Kernel& kernel, const Convolution& c, Element element, bool native) {
  const auto at = [&](std::int64_t count, std::string_view name) {
    Buffer values(static_cast<std::size_t>(count) * size_of(element));
    const Values random = bf16_values(static_cast<std::size_t>(count), name);
    if (element == Element::f32) {
      std::ranges::copy(random, values.as<float>().data());
    } else {
      std::ranges::transform(random, values.as<Bf16>().data(), from_float<Bf16>);
    }
    return values;
  };
  const Buffer input = at(samples * c.in.elements(), "input");
  const Buffer output_gradient = at(samples * c.out.elements(), "gradient");
  const Buffer scratch(kernel.scratch_bytes());
  Values weight(static_cast<std::size_t>(c.out.channels * c.in.channels * 9));
  BackwardArguments arguments;
  arguments.inputs[0] = input.data();
  arguments.output_gradient = output_gradient.data();
  arguments.parameter_gradients[0] = weight.data();
  arguments.native_gradient = native;
  arguments.scratch = scratch.data();
  kernel.backward(arguments);
  return weight;
}

TEST_F(WeightedGradientTest, ANativeOneIsThePlainOneInAnotherOrder) {
  const Convolution c = three_by_three(32);
  for (const Element element : elements_here()) {
    const auto kernel = tested::make_convolution(c, {.samples = samples, .element = element});
    ASSERT_TRUE(kernel->has_native_gradient());
    const Values plain = gradient(*kernel, c, element, false);
    const Values native = gradient(*kernel, c, element, true);
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
