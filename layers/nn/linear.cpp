#include "layers/nn/linear.h"

#include <fmt/format.h>

#include "comm/base/error.h"
#include "layers/ops/device.h"

namespace lockstep {

LinearLayer::LinearLayer(std::string name, const SampleShape& input, const LinearSpec& spec)
    : Layer(std::move(name), input, {.height = 1, .width = 1, .channels = spec.out}), bias_(spec.bias) {
  if (input.pixels() != 1) {
    throw UsageError(
        fmt::format("layer '{}' (linear) takes vectors (1x1xN), its input is {}; put flatten or "
                    "global_avg_pool before it",
                    this->name(), to_string(input)));
  }
  declare("weight", {spec.out, input.channels}, Parameter::Role::weight, input.channels);
  if (bias_) declare("bias", {spec.out}, Parameter::Role::bias, input.channels);
}

std::unique_ptr<Kernel> LinearLayer::make_kernel(const KernelShape& shape) const {
  return device_of(shape).make_linear({.in = input().channels, .out = output().channels, .bias = bias_},
                                      shape);
}

}  // namespace lockstep
