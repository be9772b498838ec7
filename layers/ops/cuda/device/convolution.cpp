#include <algorithm>
#include <optional>
#include <type_traits>

#include "layers/ops/cuda/device/convolution_plan.h"
#include "layers/ops/cuda/device/convolution_to_fp32.h"
#include "layers/ops/cuda/device/device.h"
#include "layers/ops/cuda/elementwise.h"
#include "layers/ops/cuda/kernels.h"

namespace lockstep::cuda {
namespace {

template <class E>
class ConvolutionKernel final : public Kernel {
 public:
  ConvolutionKernel(const Device& device, const Convolution& convolution, const KernelShape& shape)
      : device_(device),
        convolution_(convolution),
        samples_(shape.samples),
        pixels_(convolution.kernel_height * convolution.kernel_width),
        weights_(weights(convolution)) {
    const cudnnHandle_t handle = device.cudnn(0);
    const ConvolutionProblem problem{convolution, shape.samples, shape.element, shape.element,
                                     device.tf32() && shape.training};
    if (convolution.bias) {
      forward_before_bias_.emplace(handle, problem, ConvolutionPass::forward);
    } else {
      forward_.emplace(handle, problem, ConvolutionPass::forward);
    }
    if (!shape.training) return;
    if (shape.input_gradients) backward_data_.emplace(handle, problem, ConvolutionPass::backward_data);
    backward_weight_.emplace(handle, problem, ConvolutionPass::backward_weight);
  }

  // Forward: the output before its bias, unless that is in fp32 itself; backward: the weight's gradient as
  // cuDNN has it. Then workspace.
  std::size_t scratch_bytes() const override {
    const std::size_t bytes =
        forward_ ? forward_->workspace_bytes() : exact_bytes() + forward_before_bias_->scratch_bytes();
    if (!backward_weight_) return bytes;
    const std::size_t bias =
        convolution_.bias ? sum_rows_scratch_bytes(rows(), convolution_.out.channels) : 0;
    const std::size_t data = backward_data_ ? backward_data_->workspace_bytes() : 0;
    return std::max(bytes, gradient_bytes() + std::max({data, backward_weight_->scratch_bytes(), bias}));
  }
  std::size_t prepared_bytes(Pass /*pass*/) const override {
    return static_cast<std::size_t>(weights_) * sizeof(E);
  }

  // From [out, in, row, column] to [out, row, column, in].
  void prepare(Pass /*pass*/, std::array<const float*, max_parameters> parameters,
               std::byte* memory) override {
    transpose(device_.runner(0), parameters[0], convolution_.out.channels, in_channels(), pixels_,
              reinterpret_cast<E*>(memory));
    weight_ = memory;
  }

  void forward(const ForwardArguments& arguments) const override {
    const int thread = arguments.position.thread;
    if (forward_) {
      return forward_->run(device_.cudnn(thread), arguments.inputs[0], weight_, arguments.output,
                           arguments.scratch);
    }
    // In fp32 until the bias is in, so that it is rounded once.
    auto* const exact = static_cast<float*>(is_fp32 ? arguments.output : arguments.scratch);
    forward_before_bias_.value().run(device_, thread, arguments.inputs[0], weight_, exact,
                                     arguments.scratch + exact_bytes());
    add_bias(device_.runner(thread), arguments.parameters[1], rows(), convolution_.out.channels,
             static_cast<const float*>(exact), static_cast<E*>(arguments.output));
  }

  void backward(const BackwardArguments& arguments) const override {
    const int thread = arguments.position.thread;
    const Stream& runner = device_.runner(thread);
    auto* gradient = reinterpret_cast<float*>(arguments.scratch);
    std::byte* workspace = arguments.scratch + gradient_bytes();
    if (arguments.input_gradients[0] != nullptr) {
      backward_data_.value().run(device_.cudnn(thread), arguments.output_gradient, weight_,
                                 arguments.input_gradients[0], workspace);
    }
    backward_weight_.value().run(device_, thread, arguments.output_gradient, arguments.inputs[0], gradient,
                                 workspace);
    transpose(runner, static_cast<const float*>(gradient), convolution_.out.channels, pixels_, in_channels(),
              arguments.parameter_gradients[0]);
    if (!convolution_.bias) return;
    sum_rows(runner, static_cast<const E*>(arguments.output_gradient), rows(), convolution_.out.channels,
             workspace, arguments.parameter_gradients[1]);
  }

 private:
  static constexpr bool is_fp32 = std::is_same_v<E, float>;

  std::int64_t in_channels() const { return convolution_.in.channels / convolution_.groups; }
  std::int64_t rows() const { return samples_ * convolution_.out.pixels(); }
  std::size_t exact_bytes() const { return is_fp32 ? 0 : fp32_bytes(rows() * convolution_.out.channels); }
  std::size_t gradient_bytes() const { return fp32_bytes(weights_); }
  static std::size_t fp32_bytes(std::int64_t count) {
    return on_boundary(static_cast<std::size_t>(count) * sizeof(float));
  }

  const Device& device_;
  Convolution convolution_;
  std::int64_t samples_;
  std::int64_t pixels_;  // of the window
  std::int64_t weights_;
  const std::byte* weight_ = nullptr;  // as cuDNN reads it
  std::optional<ConvolutionPlan> forward_, backward_data_;
  std::optional<ConvolutionToFp32> forward_before_bias_, backward_weight_;
};

}  // namespace

template <class Any>
std::unique_ptr<Kernel> make_convolution(const Any& device, const Convolution& convolution,
                                         const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<ConvolutionKernel<decltype(element)>>(device, convolution, shape);
  });
}
template std::unique_ptr<Kernel> make_convolution(const Device&, const Convolution&, const KernelShape&);

}  // namespace lockstep::cuda
