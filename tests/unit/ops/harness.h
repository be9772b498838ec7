#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "layers/ops/kernel.h"
#include "layers/ops/processor.h"
#include "layers/ops/threads.h"
#include "layers/tensor/buffer.h"
#include "layers/tensor/random.h"
#include "tests/unit/ops/tested.h"

namespace lockstep::test {

using Values = std::vector<float>;

// Tests that make or run kernels on their own thread.
struct ComputeTest : TestedTest {
  ComputeTest() { prepare_compute_thread(); }
};

// Uniform in [-1, 1).
inline Values random_values(std::size_t count, std::string_view name) {
  const Random random(7, "test", name);
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = 2 * Random::uniform(random.bits(i)[0]) - 1;
  return values;
}

// Distinct values, `spacing` apart, none nearer to zero than a quarter of it, in random order: a step of less
// than a quarter of it crosses no kink of a ReLU or a maximum.
inline Values distinct_values(std::size_t count, float spacing, std::string_view name) {
  Values values(count);
  const float middle = static_cast<float>(count) / 2 - 0.25F;
  for (std::size_t i = 0; i < count; ++i) values[i] = (static_cast<float>(i) - middle) * spacing;
  const Random random(7, "shuffle", name);
  for (std::size_t i = count; i > 1; --i) std::swap(values[i - 1], values[random.below(i, i)]);
  return values;
}

inline bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}
inline bool same_bits(const std::vector<Values>& a, const std::vector<Values>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Values& x, const Values& y) { return same_bits(x, y); });
}

// The element types that kernels can be made for here.
inline std::vector<Element> elements_here() {
  if (!tested::computes_in(Element::bf16)) return {Element::f32};
  return {Element::f32, Element::bf16};
}

// As E keeps them.
template <class E>
Values rounded(Values values) {
  for (float& value : values) value = stored<E>(value);
  return values;
}

inline Values bf16_values(std::size_t count, std::string_view name) {
  return rounded<Bf16>(random_values(count, name));
}

// Values, as E, that start `offset` elements behind a 64-byte boundary.
template <class E>
class PlacedAs {
 public:
  PlacedAs(const Values& values, std::size_t offset) : PlacedAs(values.size(), offset) {
    std::transform(values.begin(), values.end(), data(), from_float<E>);
  }
  PlacedAs(std::size_t size, std::size_t offset)
      : buffer_((size + offset) * sizeof(E)), offset_(offset), size_(size) {}

  E* data() const { return buffer_.template as<E>().data() + offset_; }
  Values values() const {
    Values values(size_);
    std::transform(data(), data() + size_, values.begin(), [](E value) { return to_float(value); });
    return values;
  }

 private:
  Buffer buffer_;
  std::size_t offset_ = 0;
  std::size_t size_ = 0;
};
using Placed = PlacedAs<float>;

// What a kernel is run on.
struct Trial {
  std::vector<Values> inputs;
  std::vector<Values> parameters;
  Values output_gradient;
  ShardPosition position;
  bool want_input_gradient = true;
  bool native_gradient = false;
};

struct Outcome {
  Values output;
  std::vector<Values> input_gradients;
  std::vector<Values> parameter_gradients;
};

inline bool same_bits(const Outcome& a, const Outcome& b) {
  return same_bits(a.output, b.output) && same_bits(a.input_gradients, b.input_gradients) &&
         same_bits(a.parameter_gradients, b.parameter_gradients);
}

// For forward and backward. Answers the memory in which the kernel then has its parameters.
[[nodiscard]] inline std::array<Buffer, 2> prepare(Kernel& kernel, const Trial& trial) {
  std::array<const float*, max_parameters> parameters{};
  for (std::size_t i = 0; i < trial.parameters.size(); ++i) parameters[i] = trial.parameters[i].data();
  std::array<Buffer, 2> memory;
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    Buffer& it = memory.at(static_cast<std::size_t>(pass));
    it = Buffer(kernel.prepared_bytes(pass));
    kernel.prepare(pass, parameters, it.data());
  }
  return memory;
}

// Forward and backward of a prepared kernel for elements E, with all arrays `offset` elements behind a
// 64-byte boundary. Memory that a kernel has to write is full of NaN before.
template <class E = float>
Outcome run(const Kernel& kernel, const Trial& trial, std::size_t offset = 0) {
  const auto poisoned = [&](std::size_t size) { return PlacedAs<E>(Values(size, std::nanf("")), offset); };
  std::vector<PlacedAs<E>> inputs;
  std::vector<Placed> parameters;
  std::vector<PlacedAs<E>> input_gradients;
  std::vector<Placed> parameter_gradients;
  ForwardArguments forward;
  BackwardArguments backward;
  for (std::size_t i = 0; i < trial.inputs.size(); ++i) {
    forward.inputs[i] = backward.inputs[i] = inputs.emplace_back(trial.inputs[i], offset).data();
    E* gradient = input_gradients.emplace_back(poisoned(trial.inputs[i].size())).data();
    backward.input_gradients[i] = trial.want_input_gradient ? gradient : nullptr;
  }
  for (std::size_t i = 0; i < trial.parameters.size(); ++i) {
    forward.parameters[i] = backward.parameters[i] =
        parameters.emplace_back(trial.parameters[i], offset).data();
    backward.parameter_gradients[i] =
        parameter_gradients.emplace_back(Values(trial.parameters[i].size(), std::nanf("")), offset).data();
  }
  const PlacedAs<E> output = poisoned(trial.output_gradient.size());
  const PlacedAs<E> output_gradient(trial.output_gradient, offset);
  const Buffer saved(kernel.saved_bytes());
  const Buffer scratch(kernel.scratch_bytes());
  std::fill_n(scratch.as<float>().data(), scratch.as<float>().size(), std::nanf(""));

  forward.output = output.data();
  forward.saved = saved.data();
  forward.scratch = scratch.data();
  forward.position = trial.position;
  kernel.forward(forward);
  backward.output = output.data();
  backward.output_gradient = output_gradient.data();
  backward.saved = saved.data();
  backward.scratch = scratch.data();
  backward.position = trial.position;
  backward.native_gradient = trial.native_gradient;
  kernel.backward(backward);

  Outcome outcome{output.values(), {}, {}};
  for (const PlacedAs<E>& gradient : input_gradients) outcome.input_gradients.push_back(gradient.values());
  for (const Placed& gradient : parameter_gradients) outcome.parameter_gradients.push_back(gradient.values());
  return outcome;
}

inline Outcome run(const Kernel& kernel, Element element, const Trial& trial, std::size_t offset = 0) {
  return with_element(element, [&](auto type) { return run<decltype(type)>(kernel, trial, offset); });
}

}  // namespace lockstep::test
