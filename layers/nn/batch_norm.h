#pragma once

#include "layers/model/spec.h"
#include "layers/nn/layer.h"

namespace lockstep {

// Batch normalization of images (2-d) or vectors (1-d), a channel at a time; statistics of a group of shards.
// Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
// shift", 2015. weight (gamma) [channels] from 1, bias (beta) [channels] from 0, unless affine is off. It has
// no kernel: the plan runs it as moments | exchange | normalize, since it crosses shards.
class BatchNorm : public Layer {
 public:
  BatchNorm(std::string name, const SampleShape& input, const BatchNormSpec& spec);
  std::string_view type() const override { return "batch_norm"; }
  Kind kind() const override { return Kind::batch_norm; }
  BackwardReads backward_reads() const override { return {.input = true, .output = false}; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override;

  std::int64_t channels() const { return input().channels; }
  bool affine() const { return !parameters().empty(); }
};

}  // namespace lockstep
