#pragma once

#include <limits>
#include <stdexcept>

#include "layers/ops/cuda/arithmetic/pooling.h"
#include "layers/ops/cuda/kernels.h"

namespace lockstep::cuda {

template <class Device, class E>
class MaxPoolingKernel final : public Kernel {
 public:
  MaxPoolingKernel(const Device& device, const Pooling& pooling, std::int64_t samples)
      : device_(device), pooling_(pooling), samples_(samples) {}

  std::size_t saved_bytes() const override {
    return static_cast<std::size_t>(samples_ * pooling_.out.elements()) * sizeof(std::int32_t);
  }

  void forward(const ForwardArguments& arguments) const override {
    const MaxPooling<E> max{pooling_, static_cast<const E*>(arguments.inputs[0]),
                            static_cast<E*>(arguments.output),
                            reinterpret_cast<std::int32_t*>(arguments.saved)};
    const auto& runner = device_.runner(arguments.position.thread);
    runner.over(pooling_.in.channels, samples_ * pooling_.out.pixels(), max);
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const MaxPoolingGradient<E> gradient{pooling_, static_cast<const E*>(arguments.output_gradient),
                                         reinterpret_cast<const std::int32_t*>(arguments.saved),
                                         static_cast<E*>(arguments.input_gradients[0])};
    const auto& runner = device_.runner(arguments.position.thread);
    runner.over(pooling_.in.channels, samples_ * pooling_.in.pixels(), gradient);
  }

 private:
  const Device& device_;
  Pooling pooling_;
  std::int64_t samples_;
};

template <class Device, class E>
class AveragePoolingKernel final : public Kernel {
 public:
  AveragePoolingKernel(const Device& device, const Pooling& pooling, std::int64_t samples)
      : device_(device), pooling_(pooling), samples_(samples) {}

  void forward(const ForwardArguments& arguments) const override {
    const AveragePooling<E> average{pooling_, static_cast<const E*>(arguments.inputs[0]),
                                    static_cast<E*>(arguments.output)};
    const auto& runner = device_.runner(arguments.position.thread);
    runner.over(pooling_.in.channels, samples_ * pooling_.out.pixels(), average);
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const AveragePoolingGradient<E> gradient{pooling_, static_cast<const E*>(arguments.output_gradient),
                                             static_cast<E*>(arguments.input_gradients[0])};
    const auto& runner = device_.runner(arguments.position.thread);
    runner.over(pooling_.in.channels, samples_ * pooling_.in.pixels(), gradient);
  }

 private:
  const Device& device_;
  Pooling pooling_;
  std::int64_t samples_;
};

template <class Device, class E>
class GlobalAveragePoolingKernel final : public Kernel {
 public:
  GlobalAveragePoolingKernel(const Device& device, const SampleShape& in, std::int64_t samples)
      : device_(device), in_(in), samples_(samples) {}

  void forward(const ForwardArguments& arguments) const override {
    const GlobalAveragePooling<E> average{static_cast<const E*>(arguments.inputs[0]), in_.pixels(),
                                          in_.channels, static_cast<E*>(arguments.output)};
    device_.runner(arguments.position.thread).over(in_.channels, samples_, average);
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const GlobalAveragePoolingGradient<E> gradient{static_cast<const E*>(arguments.output_gradient),
                                                   in_.pixels(), in_.channels,
                                                   static_cast<E*>(arguments.input_gradients[0])};
    device_.runner(arguments.position.thread).over(in_.channels, samples_ * in_.pixels(), gradient);
  }

 private:
  const Device& device_;
  SampleShape in_;
  std::int64_t samples_;
};

template <class Device>
std::unique_ptr<Kernel> make_pooling(const Device& device, const Pooling& pooling, const KernelShape& shape) {
  if (pooling.padding >= pooling.window) throw std::logic_error("a pooling window that lies in the padding");
  constexpr std::int64_t most_pixels =
      std::numeric_limits<std::int32_t>::max();  // winners are numbered in 32 bits
  if (shape.samples * pooling.in.pixels() > most_pixels)
    throw std::logic_error("a pooling of too many pixels");
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    using E = decltype(element);
    if (pooling.kind == Pooling::Kind::max) {
      return std::make_unique<MaxPoolingKernel<Device, E>>(device, pooling, shape.samples);
    }
    return std::make_unique<AveragePoolingKernel<Device, E>>(device, pooling, shape.samples);
  });
}

template <class Device>
std::unique_ptr<Kernel> make_global_average_pooling(const Device& device, const SampleShape& in,
                                                    const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<GlobalAveragePoolingKernel<Device, decltype(element)>>(device, in, shape.samples);
  });
}

}  // namespace lockstep::cuda
