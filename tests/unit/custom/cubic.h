#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "layers/model/custom_layer.h"

// A layer that is not lockstep's, with as many parameters as a kernel has room for.
namespace lockstep {

// y = ((a·x + b)·x + c)·x + d, with four values a channel.
class CubicKernel : public Kernel {
 public:
  CubicKernel(std::int64_t rows, std::int64_t channels) : rows_(rows), channels_(channels) {}

  void forward(const ForwardArguments& arguments) const override {
    const auto& [a, b, c, d] = arguments.parameters;
    const auto* in = static_cast<const float*>(arguments.inputs[0]);
    auto* out = static_cast<float*>(arguments.output);
    for (std::int64_t i = 0; i < rows_ * channels_; ++i) {
      const float x = in[i];
      const std::int64_t channel = i % channels_;
      out[i] = ((a[channel] * x + b[channel]) * x + c[channel]) * x + d[channel];
    }
  }

  void backward(const BackwardArguments& arguments) const override {
    const auto& [a, b, c, d] = arguments.parameters;
    const auto* in = static_cast<const float*>(arguments.inputs[0]);
    const auto* out_gradient = static_cast<const float*>(arguments.output_gradient);
    auto* in_gradient = static_cast<float*>(arguments.input_gradients[0]);
    for (float* gradient : arguments.parameter_gradients) std::fill_n(gradient, channels_, 0.0F);
    for (std::int64_t i = 0; i < rows_ * channels_; ++i) {
      const float x = in[i];
      const float dy = out_gradient[i];
      const std::int64_t channel = i % channels_;
      const std::array<float, 4> powers{x * x * x, x * x, x, 1};
      for (std::size_t p = 0; p < powers.size(); ++p)
        arguments.parameter_gradients[p][channel] += dy * powers[p];
      if (in_gradient == nullptr) continue;
      in_gradient[i] = dy * ((3 * a[channel] * x + 2 * b[channel]) * x + c[channel]);
    }
  }

 private:
  std::int64_t rows_, channels_;
};

class Cubic : public Layer {
 public:
  explicit Cubic(const LayerPlace& place) : Layer(place.name, place.input, place.input) {
    for (const char* power : {"a", "b", "c", "d"}) {
      declare(power, {input().channels}, Parameter::Role::weight, 4);
    }
  }
  std::string_view type() const override { return "cubic"; }
  BackwardReads backward_reads() const override { return {.input = true, .output = false}; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return std::make_unique<CubicKernel>(shape.samples * input().pixels(), input().channels);
  }
};

inline CustomLayer cubic() {
  return {.word = "cubic",
          .default_name = "",
          .meaning = "a polynomial a channel",
          .attributes = {},
          .make = [](const LayerPlace& place, const Attributes&) { return std::make_unique<Cubic>(place); }};
}

}  // namespace lockstep
