#pragma once

#include "layers/nn/layer.h"
#include "layers/ops/device.h"
#include "layers/tensor/random.h"

// The layers without parameters that keep or only rearrange their input.
namespace lockstep {

// max(x, 0).
class Relu : public Layer {
 public:
  Relu(std::string name, const SampleShape& input) : Layer(std::move(name), input, input) {}
  std::string_view type() const override { return "relu"; }
  Kind kind() const override { return Kind::relu; }
  BackwardReads backward_reads() const override { return {.input = false, .output = true}; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return device_of(shape).make_relu(input(), shape);
  }
};

// The sum of two branches; where a residual block ends.
class Add : public Layer {
 public:
  Add(std::string name, const SampleShape& input) : Layer(std::move(name), input, input) {}
  std::string_view type() const override { return "add"; }
  Kind kind() const override { return Kind::add; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return device_of(shape).make_add(input(), shape);
  }
};

// An image to a vector in PyTorch's order: channel, row, column.
class Flatten : public Layer {
 public:
  Flatten(std::string name, const SampleShape& input)
      : Layer(std::move(name), input, {.height = 1, .width = 1, .channels = input.elements()}) {}
  std::string_view type() const override { return "flatten"; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return device_of(shape).make_flatten(input(), shape);
  }
};

// Srivastava et al., "Dropout" (2014), inverted: kept elements are scaled by 1 / (1 − probability) while
// training.
class Dropout : public Layer {
 public:
  Dropout(std::string name, const SampleShape& input, double probability, std::uint64_t seed)
      : Layer(std::move(name), input, input),
        probability_(static_cast<float>(probability)),
        random_(seed, "dropout", this->name()) {}
  std::string_view type() const override { return "dropout"; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return device_of(shape).make_dropout(input(), probability_, random_, shape);
  }

 private:
  float probability_;
  Random random_;
};

}  // namespace lockstep
