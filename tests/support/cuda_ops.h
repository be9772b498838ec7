#pragma once

#include <optional>
#include <vector>

#include "layers/loss/softmax_cross_entropy.h"
#include "layers/ops/cuda/elementwise.h"
#include "layers/ops/cuda/kernels.h"
#include "layers/ops/cuda/loss.h"
#include "layers/ops/cuda/norm.h"
#include "layers/ops/norm.h"
#include "tests/support/mirror.h"

// layers/ops/cuda with the signatures of the CPU's operations: arrays are brought to the device that `target`
// is, and back. So the same cases test both.
namespace lockstep::test::cuda_ops {

template <class T>
using Mirrored = Mirror<target::Memory, T>;

inline const auto& runner() {
  return target::device().runner(0);
}

inline bool computes_in(Element /*element*/) {
  return true;
}

// A kernel of the device as one of the CPU.
class MirroredKernel final : public Kernel {
 public:
  struct Sizes {
    std::int64_t input, output;  // elements of the shard
    std::vector<std::int64_t> parameters = {};
  };
  MirroredKernel(std::unique_ptr<Kernel> kernel, const KernelShape& shape, Sizes sizes)
      : kernel_(std::move(kernel)), element_(size_of(shape.element)), sizes_(std::move(sizes)) {}

  std::size_t scratch_bytes() const override { return kernel_->scratch_bytes(); }
  std::size_t saved_bytes() const override { return kernel_->saved_bytes(); }
  std::size_t prepared_bytes(Pass pass) const override { return kernel_->prepared_bytes(pass); }

  void prepare(Pass pass, std::array<const float*, max_parameters> parameters,
               std::byte* /*memory*/) override {
    const Parameters there(parameters, sizes_.parameters);
    auto& prepared = pass == Pass::forward ? prepared_forward_ : prepared_backward_;
    prepared.emplace(prepared_bytes(pass));
    kernel_->prepare(pass, there.pointers(), prepared->data());
  }

  void forward(const ForwardArguments& arguments) const override {
    const Array<const void> first(arguments.inputs[0], bytes(sizes_.input));
    const Array<const void> second(arguments.inputs[1], bytes(sizes_.input));
    const Array<void> output(arguments.output, bytes(sizes_.output));
    const Parameters parameters(arguments.parameters, sizes_.parameters);
    const Array<std::byte> saved(arguments.saved, saved_bytes());
    const Array<std::byte> scratch(arguments.scratch, scratch_bytes());
    ForwardArguments there;
    there.inputs = {first.data(), second.data()};
    there.output = output.data();
    there.parameters = parameters.pointers();
    there.saved = saved.data();
    there.scratch = scratch.data();
    there.position = arguments.position;
    kernel_->forward(there);
  }

  void backward(const BackwardArguments& arguments) const override {
    const Array<const void> first(arguments.inputs[0], bytes(sizes_.input));
    const Array<const void> second(arguments.inputs[1], bytes(sizes_.input));
    const Array<const void> output(arguments.output, bytes(sizes_.output));
    const Array<const void> output_gradient(arguments.output_gradient, bytes(sizes_.output));
    const Array<void> first_gradient(arguments.input_gradients[0], bytes(sizes_.input));
    const Array<void> second_gradient(arguments.input_gradients[1], bytes(sizes_.input));
    const Parameters parameters(arguments.parameters, sizes_.parameters);
    const ParameterGradients gradients(arguments.parameter_gradients, sizes_.parameters);
    const Array<const std::byte> saved(arguments.saved, saved_bytes());
    const Array<std::byte> scratch(arguments.scratch, scratch_bytes());
    BackwardArguments there;
    there.inputs = {first.data(), second.data()};
    there.output = output.data();
    there.output_gradient = output_gradient.data();
    there.input_gradients = {first_gradient.data(), second_gradient.data()};
    there.parameters = parameters.pointers();
    there.parameter_gradients = gradients.pointers();
    there.saved = saved.data();
    there.scratch = scratch.data();
    there.position = arguments.position;
    kernel_->backward(there);
  }

 private:
  // Bytes of void.
  template <class T>
  class Array {
   public:
    using Byte = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
    Array(T* here, std::size_t count) : mirror_(static_cast<Byte*>(here), count) {}
    Byte* data() const { return mirror_; }

   private:
    Mirrored<Byte> mirror_;
  };

  template <class T>
  class ArrayOfEach {
   public:
    ArrayOfEach(const std::array<T*, max_parameters>& here, const std::vector<std::int64_t>& sizes) {
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        mirrors_[i].emplace(here[i], static_cast<std::size_t>(sizes[i]));
      }
    }
    std::array<T*, max_parameters> pointers() const {
      std::array<T*, max_parameters> pointers{};
      for (std::size_t i = 0; i < pointers.size(); ++i) {
        if (mirrors_[i]) pointers[i] = *mirrors_[i];
      }
      return pointers;
    }

   private:
    std::array<std::optional<Mirrored<T>>, max_parameters> mirrors_;
  };
  using Parameters = ArrayOfEach<const float>;
  using ParameterGradients = ArrayOfEach<float>;

  std::size_t bytes(std::int64_t elements) const { return static_cast<std::size_t>(elements) * element_; }

  std::unique_ptr<Kernel> kernel_;
  std::size_t element_;
  Sizes sizes_;
  std::optional<target::Memory> prepared_forward_, prepared_backward_;
};

inline std::unique_ptr<Kernel> mirrored(std::unique_ptr<Kernel> kernel, const KernelShape& shape,
                                        std::int64_t input, std::int64_t output,
                                        std::vector<std::int64_t> parameters = {}) {
  return std::make_unique<MirroredKernel>(
      std::move(kernel), shape,
      MirroredKernel::Sizes{shape.samples * input, shape.samples * output, std::move(parameters)});
}

inline std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape) {
  return mirrored(cuda::make_relu(target::device(), in, shape), shape, in.elements(), in.elements());
}
inline std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape) {
  return mirrored(cuda::make_add(target::device(), in, shape), shape, in.elements(), in.elements());
}
inline std::unique_ptr<Kernel> make_flatten(const SampleShape& in, const KernelShape& shape) {
  return mirrored(cuda::make_flatten(target::device(), in, shape), shape, in.elements(), in.elements());
}
inline std::unique_ptr<Kernel> make_dropout(const SampleShape& in, float probability, const Random& random,
                                            const KernelShape& shape) {
  return mirrored(cuda::make_dropout(target::device(), in, probability, random, shape), shape, in.elements(),
                  in.elements());
}
inline std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape) {
  return mirrored(cuda::make_pooling(target::device(), pooling, shape), shape, pooling.in.elements(),
                  pooling.out.elements());
}
inline std::unique_ptr<Kernel> make_global_average_pooling(const SampleShape& in, const KernelShape& shape) {
  return mirrored(cuda::make_global_average_pooling(target::device(), in, shape), shape, in.elements(),
                  in.channels);
}
inline std::unique_ptr<Kernel> make_convolution(const Convolution& convolution, const KernelShape& shape) {
  const std::int64_t weights = convolution.out.channels * convolution.in.channels / convolution.groups *
                               convolution.kernel_height * convolution.kernel_width;
  std::vector<std::int64_t> parameters{weights};
  if (convolution.bias) parameters.push_back(convolution.out.channels);
  return mirrored(cuda::make_convolution(target::device(), convolution, shape), shape,
                  convolution.in.elements(), convolution.out.elements(), parameters);
}
inline std::unique_ptr<Kernel> make_linear(const Linear& linear, const KernelShape& shape) {
  std::vector<std::int64_t> parameters{linear.in * linear.out};
  if (linear.bias) parameters.push_back(linear.out);
  return mirrored(cuda::make_linear(target::device(), linear, shape), shape, linear.in, linear.out,
                  parameters);
}

template <class E>
void add_all(std::span<E> sum, std::span<const E> addend) {
  const Mirrored<E> to(sum);
  const Mirrored<const E> from(addend);
  cuda::add_into<std::decay_t<decltype(runner())>, E>(runner(), to, from,
                                                      static_cast<std::int64_t>(addend.size()));
}
inline void add_into(std::span<float> sum, std::span<const float> addend) {
  add_all(sum, addend);
}
inline void add_into(std::span<Bf16> sum, std::span<const Bf16> addend) {
  add_all(sum, addend);
}

template <class From, class To>
void convert_all(std::span<const From> from, std::span<To> to) {
  const Mirrored<const From> source(from);
  const Mirrored<To> destination(to);
  const From* x = source;
  To* y = destination;
  cuda::convert(runner(), x, y, static_cast<std::int64_t>(from.size()));
}
inline void convert(std::span<const float> from, std::span<Bf16> to) {
  convert_all(from, to);
}
inline void convert(std::span<const Bf16> from, std::span<float> to) {
  convert_all(from, to);
}

inline double sum_of_squares(std::span<const float> values) {
  if (values.empty()) return 0;
  const auto count = static_cast<std::int64_t>(values.size());
  const target::Memory scratch(cuda::sum_of_squares_scratch_bytes(count));
  const Mirrored<const float> there(values);
  double sum = 0;
  {
    const Mirrored<double> result(&sum, 1);
    cuda::sum_of_squares(runner(), there, count, scratch.data(), result);
  }
  return sum;
}

inline bool all_finite(std::span<const float> values) {
  const Mirrored<const float> there(values);
  std::int32_t found = 0;
  {
    const Mirrored<std::int32_t> result(&found, 1);
    cuda::find_infinite(runner(), there, static_cast<std::int64_t>(values.size()), result);
  }
  return found == 0;
}

inline LossSums softmax_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> labels,
                                      std::int64_t classes, double smoothing, std::int64_t global,
                                      std::span<float> gradient) {
  const auto samples = static_cast<std::int64_t>(labels.size());
  if (samples == 0) return {};
  const target::Memory scratch(cuda::loss_scratch_bytes(samples));
  const Mirrored<const float> values(logits);
  const Mirrored<const std::int32_t> classes_of(labels);
  const Mirrored<float> derivative(gradient);
  cuda::LossOfSamples sums{};
  {
    const Mirrored<cuda::LossOfSamples> result(&sums, 1);
    cuda::softmax_cross_entropy(runner(), {values, classes_of, samples, classes}, smoothing, global,
                                scratch.data(), result, derivative);
  }
  return {sums.loss, sums.correct};
}

namespace norm {

using lockstep::norm::Affine;
using lockstep::norm::GroupSums;
using lockstep::norm::Same;

class MirroredConstants {
 public:
  explicit MirroredConstants(const Affine& affine)
      : mean_(affine.mean),
        inverse_deviation_(affine.inverse_deviation),
        scale_(affine.scale),
        shift_(affine.shift) {}
  cuda::norm::Constants get() const { return {mean_, inverse_deviation_, scale_, shift_}; }

 private:
  Mirrored<const float> mean_, inverse_deviation_, scale_, shift_;
};

inline std::size_t elements(std::int64_t rows, std::int64_t channels) {
  return static_cast<std::size_t>(rows * channels);
}

template <class E>
void moments(const E* x, std::int64_t rows, std::int64_t channels, double* moments) {
  const target::Memory scratch(cuda::norm::scratch_bytes(rows, channels));
  const Mirrored<const E> values(x, elements(rows, channels));
  const Mirrored<double> result(moments, elements(2, channels));
  const E* there = values;
  cuda::norm::moments(runner(), there, rows, channels, scratch.data(), result);
}

template <class E>
void normalize(const E* x, const Same<E>* residual, bool relu, const Affine& affine, std::int64_t rows,
               std::int64_t channels, Same<E>* y) {
  const std::size_t count = elements(rows, channels);
  const MirroredConstants constants(affine);
  const Mirrored<const E> values(x, count);
  const Mirrored<const E> other(residual, count);
  const Mirrored<E> output(y, count);
  // In place here is in place there.
  const E* there = x == y ? static_cast<E*>(output) : static_cast<const E*>(values);
  cuda::norm::normalize(runner(), there, other, relu, constants.get(), rows, channels, output);
}

template <class E>
void backward_sums(const E* x, const Same<E>* y, Same<E>* dy, bool relu, bool residual, const Affine& affine,
                   std::int64_t rows, std::int64_t channels, Same<E>* residual_gradient, bool accumulate,
                   double* sums) {
  const std::size_t count = elements(rows, channels);
  const target::Memory scratch(cuda::norm::scratch_bytes(rows, channels));
  const MirroredConstants constants(affine);
  const Mirrored<const E> values(x, count);
  const Mirrored<const E> output(y, count);
  const Mirrored<E> gradient(dy, count);
  const Mirrored<E> passed_on(residual_gradient, count);
  const Mirrored<double> result(sums, elements(2, channels));
  const E* there = values;
  cuda::norm::backward_sums(runner(), there, output, gradient, relu, residual, constants.get(), rows,
                            channels, passed_on, accumulate, scratch.data(), result);
}

template <class E>
void backward_apply(const E* x, const Same<E>* dy, bool masked, const Affine& affine, const GroupSums& sums,
                    std::int64_t rows, std::int64_t channels, Same<E>* dx) {
  const std::size_t count = elements(rows, channels);
  const MirroredConstants constants(affine);
  const Mirrored<const double> dz(sums.dz);
  const Mirrored<const double> dz_xhat(sums.dz_xhat);
  const Mirrored<const E> values(x, count);
  const Mirrored<const E> gradient(dy, count);
  const Mirrored<E> result(dx, count);
  const E* there = values;
  const E* dy_there = dy == dx ? static_cast<E*>(result) : static_cast<const E*>(gradient);
  cuda::norm::backward_apply(runner(), there, dy_there, masked, constants.get(), {dz, dz_xhat, sums.count},
                             rows, channels, result);
}

template <class E>
void backward_frozen(const E* x, const Same<E>* dy, bool masked, const Affine& affine, std::int64_t rows,
                     std::int64_t channels, Same<E>* dx) {
  const std::size_t count = elements(rows, channels);
  const MirroredConstants constants(affine);
  const Mirrored<const E> values(x, count);
  const Mirrored<const E> gradient(dy, count);
  const Mirrored<E> result(dx, count);
  const E* there = values;
  cuda::norm::backward_frozen(runner(), there, gradient, masked, constants.get(), rows, channels, result);
}

}  // namespace norm
}  // namespace lockstep::test::cuda_ops
