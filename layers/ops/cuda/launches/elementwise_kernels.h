#pragma once

#include "layers/ops/cuda/arithmetic/dropout.h"
#include "layers/ops/cuda/arithmetic/elementwise.h"
#include "layers/ops/cuda/kernels.h"

namespace lockstep::cuda {

template <class Device, class E>
class ReluKernel final : public Kernel {
 public:
  ReluKernel(const Device& device, std::int64_t elements) : device_(device), elements_(elements) {}

  void forward(const ForwardArguments& arguments) const override {
    const Relu<E> relu{static_cast<const E*>(arguments.inputs[0]), static_cast<E*>(arguments.output)};
    device_.runner(arguments.position.thread).over(elements_, relu);
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const ReluGradient<E> gradient{static_cast<const E*>(arguments.output),
                                   static_cast<const E*>(arguments.output_gradient),
                                   static_cast<E*>(arguments.input_gradients[0])};
    device_.runner(arguments.position.thread).over(elements_, gradient);
  }

 private:
  const Device& device_;
  std::int64_t elements_;
};

template <class Device, class E>
class AddKernel final : public Kernel {
 public:
  AddKernel(const Device& device, std::int64_t elements) : device_(device), elements_(elements) {}

  void forward(const ForwardArguments& arguments) const override {
    const Add<E> add{static_cast<const E*>(arguments.inputs[0]), static_cast<const E*>(arguments.inputs[1]),
                     static_cast<E*>(arguments.output)};
    device_.runner(arguments.position.thread).over(elements_, add);
  }

  void backward(const BackwardArguments& arguments) const override {
    const auto* dy = static_cast<const E*>(arguments.output_gradient);
    for (void* gradient : arguments.input_gradients) {
      if (gradient == nullptr) continue;
      device_.runner(arguments.position.thread).over(elements_, Copy<E>{dy, static_cast<E*>(gradient)});
    }
  }

 private:
  const Device& device_;
  std::int64_t elements_;
};

template <class Device, class E>
class FlattenKernel final : public Kernel {
 public:
  FlattenKernel(const Device& device, const SampleShape& in, std::int64_t samples)
      : device_(device), in_(in), samples_(samples) {}

  void forward(const ForwardArguments& arguments) const override {
    const Transpose<E, E> transpose{static_cast<const E*>(arguments.inputs[0]), in_.pixels(), in_.channels,
                                    static_cast<E*>(arguments.output)};
    device_.runner(arguments.position.thread).over(in_.channels, samples_ * in_.pixels(), transpose);
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const Transpose<E, E> transpose{static_cast<const E*>(arguments.output_gradient), in_.channels,
                                    in_.pixels(), static_cast<E*>(arguments.input_gradients[0])};
    device_.runner(arguments.position.thread).over(in_.pixels(), samples_ * in_.channels, transpose);
  }

 private:
  const Device& device_;
  SampleShape in_;
  std::int64_t samples_;
};

template <class Device, class E>
class DropoutKernel final : public Kernel {
 public:
  DropoutKernel(const Device& device, std::int64_t elements, float probability, const Random& random,
                const KernelShape& shape)
      : device_(device),
        elements_(elements),
        probability_(probability),
        key_{{random.key()[0], random.key()[1]}},
        samples_(shape.samples),
        training_(shape.training) {}

  void forward(const ForwardArguments& arguments) const override {
    const auto* x = static_cast<const E*>(arguments.inputs[0]);
    auto* y = static_cast<E*>(arguments.output);
    if (training_) {
      apply(arguments.position, x, y);
    } else {
      device_.runner(arguments.position.thread).over(samples_ * elements_, Copy<E>{x, y});
    }
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    apply(arguments.position, static_cast<const E*>(arguments.output_gradient),
          static_cast<E*>(arguments.input_gradients[0]));
  }

 private:
  void apply(const ShardPosition& position, const E* from, E* to) const {
    const Dropout<E> dropout{.from = from,
                             .elements = elements_,
                             .probability = probability_,
                             .key = key_,
                             .step = position.step,
                             .first_sample = position.first_sample,
                             .to = to};
    device_.runner(position.thread).over(dropout_draws(elements_), samples_, dropout);
  }

  const Device& device_;
  std::int64_t elements_;  // of a sample
  float probability_;
  r123::Philox4x32::key_type key_;
  std::int64_t samples_;
  bool training_;
};

template <class Device>
std::unique_ptr<Kernel> make_relu(const Device& device, const SampleShape& in, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<ReluKernel<Device, decltype(element)>>(device, shape.samples * in.elements());
  });
}

template <class Device>
std::unique_ptr<Kernel> make_add(const Device& device, const SampleShape& in, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<AddKernel<Device, decltype(element)>>(device, shape.samples * in.elements());
  });
}

template <class Device>
std::unique_ptr<Kernel> make_flatten(const Device& device, const SampleShape& in, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<FlattenKernel<Device, decltype(element)>>(device, in, shape.samples);
  });
}

template <class Device>
std::unique_ptr<Kernel> make_dropout(const Device& device, const SampleShape& in, float probability,
                                     const Random& random, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<DropoutKernel<Device, decltype(element)>>(device, in.elements(), probability,
                                                                      random, shape);
  });
}

}  // namespace lockstep::cuda
