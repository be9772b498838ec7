#pragma once

#include "layers/model/spec.h"
#include "layers/nn/layer.h"

namespace lockstep {

// y = W x + b. weight [out, in], bias [out] unless declined.
class LinearLayer : public Layer {
 public:
  // Throws UsageError where the input still has an image plane.
  LinearLayer(std::string name, const SampleShape& input, const LinearSpec& spec);
  std::string_view type() const override { return "linear"; }
  BackwardReads backward_reads() const override { return {.input = true, .output = false}; }
  bool joins() const override { return true; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override;

 private:
  bool bias_;
};

}  // namespace lockstep
