#pragma once

#include <cudnn_frontend.h>

#include <cstdint>
#include <string>

#include "comm/base/error.h"
#include "layers/ops/kernels.h"
#include "layers/tensor/element.h"

namespace lockstep::cuda {

// What cuDNN computes of a convolution. Activations are NHWC; the weight has its elements in the same order
// (out, row, column, in). What is read is of the element type.
enum class ConvolutionPass : std::uint8_t { forward, backward_data, backward_weight };

struct ConvolutionProblem {
  Convolution convolution;
  std::int64_t samples = 0;
  Element element = Element::f32;
  Element result = Element::f32;
  bool tf32 = false;
};

inline std::int64_t weights(const Convolution& c) {
  return c.out.channels * c.kernel_height * c.kernel_width * (c.in.channels / c.groups);
}

// The next multiple of what cuDNN's fastest engines want memory to start on.
constexpr std::size_t on_boundary(std::size_t bytes) {
  constexpr std::size_t boundary = 256;
  return (bytes + boundary - 1) / boundary * boundary;
}

// That cuDNN has no way to compute a pass that is allowed here.
class NoEngine : public UsageError {
 public:
  using UsageError::UsageError;
};

// One pass, planned once and run on any stream's handle. Planned are only engines that give the same bits
// every time, transform nothing (Winograd, FFT) and, unless TF32 is allowed, multiply fp32 numbers as they
// are, not rounded; of these the one that cuDNN's heuristics rank first, which measure nothing, so
// every GPU of one kind has the same. Throws
// NoEngine where there is none.
class ConvolutionPlan {
 public:
  ConvolutionPlan(cudnnHandle_t handle, const ConvolutionProblem& problem, ConvolutionPass pass);

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  // forward: input, weight, output. backward_data: output gradient, weight, input gradient. backward_weight:
  // output gradient, input, weight gradient.
  void run(cudnnHandle_t handle, const void* left, const void* right, void* result,
           std::byte* workspace) const;

 private:
  std::string what_;  // pass and shape, for messages
  cudnn_frontend::graph::Graph graph_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace lockstep::cuda
