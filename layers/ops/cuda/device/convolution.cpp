#include <algorithm>
#include <optional>

#include "layers/ops/cuda/device/convolution_plan.h"
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
        weights_(convolution.out.channels * pixels_ * in_channels()),
        forward_(device.cudnn(0), problem(shape), ConvolutionPass::forward) {
    if (!shape.training) return;
    backward_data_.emplace(device.cudnn(0), problem(shape), ConvolutionPass::backward_data);
    backward_weight_.emplace(device.cudnn(0), problem(shape), ConvolutionPass::backward_weight);
  }

  // Backward: the weight's gradient as cuDNN has it, then workspace.
  std::size_t scratch_bytes() const override {
    std::size_t bytes = forward_.workspace_bytes();
    if (!backward_weight_) return bytes;
    const std::size_t bias =
        convolution_.bias ? sum_rows_scratch_bytes(rows(), convolution_.out.channels) : 0;
    const std::size_t workspace =
        std::max({backward_data_->workspace_bytes(), backward_weight_->workspace_bytes(), bias});
    return std::max(bytes, gradient_bytes() + workspace);
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
    forward_.run(device_.cudnn(thread), arguments.inputs[0], weight_, arguments.output, arguments.scratch);
    if (!convolution_.bias) return;
    add_bias(device_.runner(thread), arguments.parameters[1], rows(), convolution_.out.channels,
             static_cast<E*>(arguments.output));
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
    backward_weight_.value().run(device_.cudnn(thread), arguments.output_gradient, arguments.inputs[0],
                                 gradient, workspace);
    transpose(runner, static_cast<const float*>(gradient), convolution_.out.channels, pixels_, in_channels(),
              arguments.parameter_gradients[0]);
    if (!convolution_.bias) return;
    sum_rows(runner, static_cast<const E*>(arguments.output_gradient), rows(), convolution_.out.channels,
             workspace, arguments.parameter_gradients[1]);
  }

 private:
  ConvolutionProblem problem(const KernelShape& shape) const {
    return {convolution_, shape.samples, shape.element, device_.tf32() && shape.training};
  }
  std::int64_t in_channels() const { return convolution_.in.channels / convolution_.groups; }
  std::int64_t rows() const { return samples_ * convolution_.out.pixels(); }
  std::size_t gradient_bytes() const {
    constexpr std::size_t boundary = 256;  // on which cuDNN's fastest engines want memory to start
    return (static_cast<std::size_t>(weights_) * sizeof(float) + boundary - 1) / boundary * boundary;
  }

  const Device& device_;
  Convolution convolution_;
  std::int64_t samples_;
  std::int64_t pixels_;  // of the window
  std::int64_t weights_;
  const std::byte* weight_ = nullptr;  // as cuDNN reads it
  ConvolutionPlan forward_;
  std::optional<ConvolutionPlan> backward_data_, backward_weight_;
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
