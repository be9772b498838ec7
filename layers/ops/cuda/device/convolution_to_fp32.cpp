#include "layers/ops/cuda/device/convolution_to_fp32.h"

#include "layers/ops/cuda/elementwise.h"

namespace lockstep::cuda {
namespace {

std::int64_t elements(std::int64_t samples, const SampleShape& shape) {
  return samples * shape.elements();
}

std::size_t fp32_bytes(std::int64_t count) {
  return on_boundary(static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace

ConvolutionToFp32::ConvolutionToFp32(cudnnHandle_t handle, ConvolutionProblem problem, ConvolutionPass pass)
    : left_count_(elements(problem.samples, pass == ConvolutionPass::forward ? problem.convolution.in
                                                                             : problem.convolution.out)),
      right_count_(pass == ConvolutionPass::forward ? weights(problem.convolution)
                                                    : elements(problem.samples, problem.convolution.in)),
      plan_(plan(handle, problem, pass, converts_)) {}

ConvolutionPlan ConvolutionToFp32::plan(cudnnHandle_t handle, ConvolutionProblem problem,
                                        ConvolutionPass pass, bool& converts) {
  problem.result = Element::f32;
  if (problem.element == Element::f32) return {handle, problem, pass};
  try {
    return {handle, problem, pass};
  } catch (const NoEngine&) {
    converts = true;
  }
  problem.element = Element::f32;
  problem.tf32 = true;
  return {handle, problem, pass};
}

std::size_t ConvolutionToFp32::scratch_bytes() const {
  const std::size_t read = converts_ ? fp32_bytes(left_count_) + fp32_bytes(right_count_) : 0;
  return read + plan_.workspace_bytes();
}

void ConvolutionToFp32::run(const Device& device, int thread, const void* left, const void* right,
                            float* result, std::byte* scratch) const {
  const auto in_fp32 = [&](const void* values, std::int64_t count) -> const void* {
    if (!converts_) return values;
    auto* const converted = reinterpret_cast<float*>(scratch);
    convert(device.runner(thread), static_cast<const Bf16*>(values), converted, count);
    scratch += fp32_bytes(count);
    return converted;
  };
  const void* const left_read = in_fp32(left, left_count_);
  const void* const right_read = in_fp32(right, right_count_);
  plan_.run(device.cudnn(thread), left_read, right_read, result, scratch);
}

}  // namespace lockstep::cuda
