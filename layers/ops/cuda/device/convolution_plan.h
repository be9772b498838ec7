#pragma once

#include <cudnn_frontend.h>

#include <cstdint>
#include <string>

#include "layers/ops/kernels.h"
#include "layers/tensor/element.h"

namespace lockstep::cuda {

// What cuDNN computes of a convolution. Activations are NHWC and of the element type; the weight has its
// elements in the same order (out, row, column, in) and is of that type too, its gradient in fp32.
enum class ConvolutionPass : std::uint8_t { forward, backward_data, backward_weight };

struct ConvolutionProblem {
  Convolution convolution;
  std::int64_t samples = 0;
  Element element = Element::f32;
  bool tf32 = false;
};

// One pass, planned once and run on any stream's handle. Planned are only engines that give the same bits
// every time, and, unless TF32 is allowed, that multiply fp32 numbers as they are; of these the one that
// cuDNN's heuristics rank first, which measure nothing, so every GPU of one kind has the same. Throws
// std::runtime_error where there is none.
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
