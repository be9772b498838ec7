// Training that keeps activations and their gradients in bf16. That nothing about how the work is spread
// changes a bit of it is tested with fp32's, in one_answer_test.cpp; against PyTorch, in tests/interop.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "comm/single/single.h"
#include "layers/ops/processor.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

class Bf16Training : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!computes_in(Element::bf16)) GTEST_SKIP() << "not on this processor";
  }
};

ModelOptions in(Element training, Element inference = Element::f32) {
  ModelOptions options = small_resnet();
  options.training = training;
  options.inference = inference;
  return options;
}

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// |a − b| / |b|, of the vectors.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double length = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const auto by = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += by * by;
    length += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / length);
}

TEST_F(Bf16Training, IsNearFp32AndNotTheSame) {
  const Outcome exact = run_steps(in(Element::f32), {.batches = {16}})[0];
  const Outcome got = run_steps(in(Element::bf16), {.batches = {16}})[0];
  EXPECT_NE(got.loss, exact.loss);
  EXPECT_NEAR(got.loss, exact.loss, 0.02 * exact.loss);
  for (const auto& [name, gradient] : exact.gradients) {
    // A bias before a batch norm has no gradient but rounding.
    if (name == "layer2.conv2.bias") continue;
    EXPECT_LT(distance(floats(got.gradients.at(name)), floats(gradient)), 0.3) << name;
  }
}

// Gradients that are sums over many values come out finer than bf16 could tell them.
TEST_F(Bf16Training, KeepsParametersAndGradientsInFp32) {
  const Outcome got = run_steps(in(Element::bf16), {.batches = {16}})[0];
  const auto beyond_bf16 = [](const std::vector<float>& values) {
    return std::ranges::count_if(values, [](float value) { return stored<Bf16>(value) != value; });
  };
  for (const auto& [name, gradient] : got.gradients) {
    const std::vector<float> values = floats(gradient);
    if (values.size() < 16) continue;  // sums that nearly cancel need few digits
    EXPECT_GT(beyond_bf16(values), std::ssize(values) / 2) << name;
    EXPECT_GT(beyond_bf16(floats(got.state.at(name))), std::ssize(values) / 2) << name;
  }
}

BatchSums evaluate(const ModelOptions& options) {
  const auto comm = make_single();
  Model model(options, 1, 0);
  model.initialize();
  const RandomBatch batch(model.layout(), options.input, options.classes, 16);
  const BatchSums sums = model.evaluate(*comm, batch.input());
  const BatchSums by_batch = model.evaluate_by_batch(*comm, batch.input());
  return {sums.loss + by_batch.loss, sums.correct + by_batch.correct, sums.samples};
}

TEST_F(Bf16Training, LeavesEvaluationInFp32UnlessItIsAskedToo) {
  const double exact = evaluate(in(Element::f32)).loss;
  EXPECT_EQ(evaluate(in(Element::bf16)).loss, exact);
  const double asked = evaluate(in(Element::f32, Element::bf16)).loss;
  EXPECT_NE(asked, exact);
  EXPECT_NEAR(asked, exact, 0.02 * exact);
}

TEST_F(Bf16Training, NeedsHalfOfTheActivations) {
  const Workload work{.global = 256, .evaluation = 8};
  const std::size_t few = Model(in(Element::bf16), 1, 0).memory_bytes({.global = 8, .evaluation = 8});
  const std::size_t few_exact = Model(in(Element::f32), 1, 0).memory_bytes({.global = 8, .evaluation = 8});
  const std::size_t bytes = Model(in(Element::bf16), 1, 0).memory_bytes(work);
  const std::size_t exact = Model(in(Element::f32), 1, 0).memory_bytes(work);
  // Batches that are read ahead are in fp32 in both.
  const std::size_t images = 2 * (256 - 8) * 6 * 6 * 2 * sizeof(float);
  const auto activations = static_cast<double>(bytes - few - images);
  EXPECT_NEAR(activations / static_cast<double>(exact - few_exact - images), 0.5, 0.05);
}

}  // namespace
}  // namespace lockstep::testing
