// Every operation gives on a GPU what it gives on the processor, to 1e-5 of the largest value in fp32. The
// steps of optimizers, poolings and what is done to each element by itself should even have the same bits.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "comm/base/error.h"
#include "layers/ops/elementwise.h"
#include "layers/ops/gpu.h"
#include "layers/ops/memory.h"
#include "tests/unit/ops/harness.h"

namespace lockstep::test {
namespace {

struct AgreementTest : ComputeTest {};

constexpr double tolerance = 1e-5;
constexpr std::int64_t samples = 5;

void expect_near(const Values& found, const Values& expected, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  double largest = 0;
  for (const float value : expected) largest = std::max(largest, std::abs(static_cast<double>(value)));
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], tolerance * largest) << what << ", element " << i;
  }
}

Trial trial_of(const SampleShape& in, const SampleShape& out, const std::vector<std::int64_t>& parameters) {
  Trial trial;
  trial.inputs = {random_values(samples * in.elements(), "x"),
                  random_values(samples * in.elements(), "other")};
  for (const std::int64_t count : parameters) trial.parameters.push_back(random_values(count, "parameter"));
  trial.output_gradient = random_values(samples * out.elements(), "dy");
  return trial;
}

void expect_agreement(const std::string& what, Kernel& there, Kernel& here, const Trial& trial) {
  const auto prepared_there = prepare(there, trial);
  const auto prepared_here = prepare(here, trial);
  const Outcome found = run(there, trial);
  const Outcome expected = run(here, trial);
  expect_near(found.output, expected.output, what);
  expect_near(found.input_gradients[0], expected.input_gradients[0], what + ", input's gradient");
  for (std::size_t i = 0; i < found.parameter_gradients.size(); ++i) {
    expect_near(found.parameter_gradients[i], expected.parameter_gradients[i],
                what + ", parameter's gradient");
  }
}

constexpr KernelShape shape{.samples = samples};

TEST_F(AgreementTest, OfConvolutionsInResNets) {
  const std::vector<Convolution> all{{{32, 32, 3}, {32, 32, 16}, 3, 3, 1, 1, 1, false},
                                     {{32, 32, 16}, {16, 16, 32}, 3, 3, 2, 1, 1, false},
                                     {{16, 16, 32}, {16, 16, 64}, 1, 1, 1, 0, 1, false},
                                     {{28, 28, 3}, {14, 14, 64}, 7, 7, 2, 3, 1, true}};
  for (const Convolution& c : all) {
    const std::int64_t weights = c.out.channels * c.in.channels * c.kernel_height * c.kernel_width;
    std::vector<std::int64_t> parameters{weights};
    if (c.bias) parameters.push_back(c.out.channels);
    expect_agreement("convolution of " + to_string(c.in), *tested::make_convolution(c, shape),
                     *make_convolution(c, shape), trial_of(c.in, c.out, parameters));
  }
}

TEST_F(AgreementTest, OfLinearLayers) {
  const Linear linear{.in = 784, .out = 128};
  expect_agreement("linear", *tested::make_linear(linear, shape), *make_linear(linear, shape),
                   trial_of({1, 1, 784}, {1, 1, 128}, {784 * 128, 128}));
}

TEST_F(AgreementTest, OfPoolings) {
  const SampleShape in{9, 8, 20};
  for (const auto kind : {Pooling::Kind::max, Pooling::Kind::average}) {
    const Pooling pooling{kind, in, {5, 4, 20}, 3, 2, 1};
    expect_agreement("pooling", *tested::make_pooling(pooling, shape), *make_pooling(pooling, shape),
                     trial_of(in, pooling.out, {}));
  }
  expect_agreement("global average pooling", *tested::make_global_average_pooling(in, shape),
                   *make_global_average_pooling(in, shape), trial_of(in, {1, 1, 20}, {}));
}

TEST_F(AgreementTest, OfReluAddFlattenAndDropout) {
  const SampleShape in{7, 6, 35};
  const Trial trial = trial_of(in, in, {});
  expect_agreement("relu", *tested::make_relu(in, shape), *make_relu(in, shape), trial);
  expect_agreement("add", *tested::make_add(in, shape), *make_add(in, shape), trial);
  expect_agreement("flatten", *tested::make_flatten(in, shape), *make_flatten(in, shape), trial);
  const Random random(3, "dropout");
  expect_agreement("dropout", *tested::make_dropout(in, 0.25F, random, shape),
                   *make_dropout(in, 0.25F, random, shape), trial);
}

TEST_F(AgreementTest, OfSums) {
  const Values values = random_values(100'003, "values");
  EXPECT_EQ(tested::sum_of_squares(values), sum_of_squares(values)) << "it is said to have the same bits";
}

// Steps of the optimizers on `device`, from the same values.
std::vector<Values> stepped(const Device& device) {
  const Values gradients = random_values(10'001, "g");
  std::vector<Values> all;
  const auto on_device = [&](const Values& values) {
    lockstep::Memory memory(device, values.size() * sizeof(float));
    device.copy_in(memory.data(), values.data(), memory.size());
    return memory;
  };
  const auto keep = [&](const lockstep::Memory& memory) {
    all.emplace_back(gradients.size());
    device.wait();
    device.copy_out(all.back().data(), memory.data(), memory.size());
  };
  const lockstep::Memory g = on_device(gradients);
  const auto count = static_cast<std::int64_t>(gradients.size());
  for (const bool nesterov : {false, true}) {
    const lockstep::Memory p = on_device(random_values(gradients.size(), "p"));
    const lockstep::Memory buffer = on_device(random_values(gradients.size(), "buffer"));
    device.update_sgd(p.data<float>(), g.data<float>(), buffer.data<float>(), nesterov, {0.1F, 0.9F, 0.01F},
                      count);
    device.update_sgd(p.data<float>(), g.data<float>(), nullptr, nesterov, {0.1F, 0.9F, 0.01F}, count);
    keep(p);
    keep(buffer);
  }
  const lockstep::Memory p = on_device(random_values(gradients.size(), "p"));
  const lockstep::Memory mean = on_device(random_values(gradients.size(), "mean"));
  Values squares = random_values(gradients.size(), "square");
  for (float& square : squares) square = std::abs(square);
  const lockstep::Memory square = on_device(squares);
  device.update_adamw(p.data<float>(), g.data<float>(), mean.data<float>(), square.data<float>(),
                      {0.99F, 0.1F, 0.999F, 0.001F, 0.01F, 0.5F, 1e-8F}, count);
  for (const lockstep::Memory* const memory : {&p, &mean, &square}) keep(*memory);
  return all;
}

// Which needs no GPU.
TEST(OpenGpu, RefusesToBeToldUnseenHowToMultiply) {
  ::setenv("NVIDIA_TF32_OVERRIDE", "1", 1);
  try {
    (void)open_gpu({.index = 0});
    ADD_FAILURE() << "it is opened";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("NVIDIA_TF32_OVERRIDE"), std::string::npos) << error.what();
  }
  ::unsetenv("NVIDIA_TF32_OVERRIDE");
}

TEST_F(AgreementTest, OfOptimizersToTheBit) {
  EXPECT_TRUE(same_bits(stepped(*open_gpu({.index = 0})), stepped(host())));
}

}  // namespace
}  // namespace lockstep::test
