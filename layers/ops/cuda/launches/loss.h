#pragma once

#include "layers/ops/cuda/arithmetic/loss.h"
#include "layers/ops/cuda/launches/reduce.h"
#include "layers/ops/cuda/loss.h"

namespace lockstep::cuda {

template <class Runner>
void softmax_cross_entropy(const Runner& runner, const Logits& logits, double smoothing, std::int64_t global,
                           std::byte* scratch, LossOfSamples* sums, float* gradient) {
  auto* losses = reinterpret_cast<LossOfSamples*>(scratch);
  runner.in_blocks(SoftmaxCrossEntropy{.logits = logits.values,
                                       .labels = logits.labels,
                                       .samples = logits.samples,
                                       .classes = logits.classes,
                                       .smoothing = smoothing,
                                       .global = static_cast<double>(global),
                                       .losses = losses,
                                       .gradient = gradient});
  fold_to_one(runner, losses, logits.samples, sums);
}

}  // namespace lockstep::cuda
