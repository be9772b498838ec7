#pragma once

#include "layers/model/spec.h"
#include "layers/nn/layer.h"
#include "layers/ops/kernels.h"

namespace lockstep {

// 2-d convolution (cross-correlation, as everywhere in the field) with a square kernel.
// weight [out, in / groups, kernel, kernel], bias [out] if asked; output side ⌊(in + 2·padding − kernel) /
// stride⌋ + 1.
class Conv2d : public Layer {
 public:
  // Throws UsageError where the groups do not divide the channels or the kernel does not fit into the padded
  // input.
  Conv2d(const std::string& name, const SampleShape& input, const Conv2dSpec& spec);
  std::string_view type() const override { return "conv2d"; }
  BackwardReads backward_reads() const override { return {.input = true, .output = false}; }
  bool joins() const override { return true; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override;

 private:
  Convolution convolution_;
};

}  // namespace lockstep
