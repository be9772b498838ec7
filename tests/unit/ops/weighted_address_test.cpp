#include "layers/ops/kernels.h"
#include "tests/unit/ops/at_offsets.h"

// Rule 3 for the kernels of oneDNN: no result depends on an address.
namespace lockstep::test {
namespace {

struct WeightedAddressTest : ComputeTest {};

const auto convolution = [](const KernelShape& shape) {
  return tested::make_convolution({{7, 7, 8}, {7, 7, 11}, 3, 3, 1, 1, 1, true}, shape);
};
const auto depthwise = [](const KernelShape& shape) {
  return tested::make_convolution({{7, 7, 8}, {7, 7, 8}, 3, 3, 1, 1, 8, true}, shape);
};
const auto linear = [](const KernelShape& shape) { return tested::make_linear({67, 10, true}, shape); };

Trial image_trial() {
  return trial_of(1, std::size_t{3} * 7 * 7 * 8, std::size_t{3} * 7 * 7 * 11, {11 * 8 * 9, 11});
}
Trial vector_trial() {
  return trial_of(1, std::size_t{3} * 67, std::size_t{3} * 10, {670, 10});
}

TEST_F(WeightedAddressTest, OneDnnKernelsGiveTheSameBitsOnEveryCacheLine) {
  expect_same_at_offsets(convolution, image_trial(), cache_line, "convolution");
  const Trial trial = trial_of(1, std::size_t{3} * 7 * 7 * 8, std::size_t{3} * 7 * 7 * 8, {8 * 9, 8});
  expect_same_at_offsets(depthwise, trial, cache_line, "depthwise convolution");
  expect_same_at_offsets(linear, vector_trial(), cache_line, "linear");
}

// Parameters and their gradients lie in arenas, wherever their neighbours end.
TEST_F(WeightedAddressTest, OneDnnKernelsTakeParametersAtEveryOffset) {
  expect_same_at_offsets(convolution, image_trial(), one, "convolution");
  expect_same_at_offsets(linear, vector_trial(), one, "linear");
}

}  // namespace
}  // namespace lockstep::test
