#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/unit/ops/harness.h"

namespace lockstep::test {

inline double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// Compares `gradient` of `loss` at `values` with central differences, element by element, relative to the
// largest element. `values` is moved and put back; loss reads it.
inline void expect_gradient(const std::function<double()>& loss, Values& values, const Values& gradient,
                            float step, double tolerance, const std::string& what) {
  ASSERT_EQ(values.size(), gradient.size()) << what;
  double largest = 1e-3;
  for (const float g : gradient) largest = std::max(largest, std::abs(static_cast<double>(g)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float at = values[i];
    values[i] = at + step;
    const double above = loss();
    values[i] = at - step;
    const double below = loss();
    const double width = static_cast<double>(at + step) - static_cast<double>(at - step);
    values[i] = at;
    ASSERT_NEAR(static_cast<double>(gradient[i]), (above - below) / width, tolerance * largest)
        << what << ", element " << i;
  }
}

// Checks all gradients of a kernel, for the loss Σ output · output_gradient.
inline void check_gradients(Kernel& kernel, Trial trial, float step = 1.0F / 64, double tolerance = 1e-3) {
  auto prepared = prepare(kernel, trial);
  const Outcome analytic = run(kernel, trial);
  const auto loss = [&] {
    prepared = prepare(kernel, trial);
    return dot(run(kernel, trial).output, trial.output_gradient);
  };
  for (std::size_t i = 0; i < trial.inputs.size(); ++i) {
    expect_gradient(loss, trial.inputs[i], analytic.input_gradients[i], step, tolerance,
                    "input " + std::to_string(i));
  }
  for (std::size_t i = 0; i < trial.parameters.size(); ++i) {
    expect_gradient(loss, trial.parameters[i], analytic.parameter_gradients[i], step, tolerance,
                    "parameter " + std::to_string(i));
  }
}

}  // namespace lockstep::test
