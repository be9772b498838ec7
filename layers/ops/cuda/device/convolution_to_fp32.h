#pragma once

#include <cstddef>
#include <cstdint>

#include "layers/ops/cuda/device/convolution_plan.h"
#include "layers/ops/cuda/device/device.h"

namespace lockstep::cuda {

// A pass whose result is in fp32, whatever it reads: forward or backward_weight. Where cuDNN has no engine
// that leaves fp32 of bf16, what is read is brought to fp32 first, and multiplied as TF32, which has all
// digits of bf16: the same products, so nothing is rounded on either way.
class ConvolutionToFp32 {
 public:
  // problem.result does not matter.
  ConvolutionToFp32(cudnnHandle_t handle, ConvolutionProblem problem, ConvolutionPass pass);

  std::size_t scratch_bytes() const;
  // As ConvolutionPlan::run. scratch: starts on 256 bytes.
  void run(const Device& device, int thread, const void* left, const void* right, float* result,
           std::byte* scratch) const;

 private:
  static ConvolutionPlan plan(cudnnHandle_t handle, ConvolutionProblem problem, ConvolutionPass pass,
                              bool& converts);

  std::int64_t left_count_, right_count_;  // elements
  bool converts_ = false;
  ConvolutionPlan plan_;
};

}  // namespace lockstep::cuda
