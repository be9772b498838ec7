#include "layers/nn/conv2d.h"

#include <cmath>

#include "layers/nn/window.h"
#include "layers/ops/device.h"

namespace lockstep {

namespace {

SampleShape output_shape(const std::string& name, const SampleShape& in, const Conv2dSpec& spec) {
  if (in.channels % spec.groups != 0 || spec.out % spec.groups != 0) {
    throw UsageError(
        fmt::format("layer '{}' (conv2d): groups: {} divides neither or only one of its input's {} channels "
                    "and its out: {}",
                    name, spec.groups, in.channels, spec.out));
  }
  return {.height = windows("conv2d", name, in, in.height, spec.kernel, spec.stride, spec.padding),
          .width = windows("conv2d", name, in, in.width, spec.kernel, spec.stride, spec.padding),
          .channels = spec.out};
}

}  // namespace

Conv2d::Conv2d(const std::string& name, const SampleShape& input, const Conv2dSpec& spec)
    : Layer(name, input, output_shape(name, input, spec)),
      convolution_{.in = input,
                   .out = output(),
                   .kernel_height = spec.kernel,
                   .kernel_width = spec.kernel,
                   .stride = spec.stride,
                   .padding = spec.padding,
                   .groups = spec.groups,
                   .bias = spec.bias} {
  const Dims weight{spec.out, input.channels / spec.groups, spec.kernel, spec.kernel};
  const std::int64_t fan_in = checked_elements("weight", weight) / spec.out;
  // He et al., "Delving deep into rectifiers" (2015), with the variance kept on the way back.
  const auto fan_out = static_cast<double>(spec.out * spec.kernel * spec.kernel);
  const double deviation = spec.normal_start ? std::sqrt(2 / fan_out) : 0;
  declare("weight", weight, Parameter::Role::weight, fan_in, deviation);
  if (spec.bias) declare("bias", {spec.out}, Parameter::Role::bias, fan_in);
}

std::unique_ptr<Kernel> Conv2d::make_kernel(const KernelShape& shape) const {
  return device_of(shape).make_convolution(convolution_, shape);
}

}  // namespace lockstep
