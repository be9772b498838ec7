#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/unit/ops/harness.h"

// What one device computes beside what another does.
namespace lockstep::test {

inline constexpr std::int64_t agreement_samples = 5;

// To 1e-5 of the largest.
template <class T>
void expect_near(const std::vector<T>& found, const std::vector<T>& expected, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  double largest = 0;
  for (const T value : expected) largest = std::max(largest, std::abs(static_cast<double>(value)));
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 1e-5 * largest) << what << ", element " << i;
  }
}

inline Trial trial_of(const SampleShape& in, const SampleShape& out,
                      const std::vector<std::int64_t>& parameters = {}, std::size_t inputs = 1) {
  Trial trial;
  for (std::size_t i = 0; i < inputs; ++i) {
    trial.inputs.push_back(random_values(agreement_samples * in.elements(), "x" + std::to_string(i)));
  }
  for (const std::int64_t count : parameters) trial.parameters.push_back(random_values(count, "parameter"));
  trial.output_gradient = random_values(agreement_samples * out.elements(), "dy");
  return trial;
}

inline void expect_agreement(const std::string& what, Kernel& there, Kernel& here, const Trial& trial) {
  const auto prepared_there = prepare(there, trial);
  const auto prepared_here = prepare(here, trial);
  const Outcome found = run(there, trial);
  const Outcome expected = run(here, trial);
  expect_near(found.output, expected.output, what);
  for (std::size_t i = 0; i < expected.input_gradients.size(); ++i) {
    expect_near(found.input_gradients[i], expected.input_gradients[i], what + ", an input's gradient");
  }
  for (std::size_t i = 0; i < expected.parameter_gradients.size(); ++i) {
    expect_near(found.parameter_gradients[i], expected.parameter_gradients[i],
                what + ", a parameter's gradient");
  }
}

}  // namespace lockstep::test
