#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/base/host_device.h"

namespace lockstep::cuda {

// Sums over samples, as LossSums (layers/loss/softmax_cross_entropy.h).
struct LossOfSamples {
  double loss, correct;
  LOCKSTEP_HOST_DEVICE void merge(const LossOfSamples& right) {
    loss += right.loss;
    correct += right.correct;
  }
};

// The loss of layers/loss on a GPU: all arrays lie there, `sums` too. Labels must be classes: nothing checks
// them. Samples' losses are folded along the fixed tree. samples ≥ 1; gradient may be null.
struct Logits {
  const float* values;  // [samples, classes]
  const std::int32_t* labels;
  std::int64_t samples, classes;
};
std::size_t loss_scratch_bytes(std::int64_t samples);
template <class Runner>
void softmax_cross_entropy(const Runner& runner, const Logits& logits, double smoothing, std::int64_t global,
                           std::byte* scratch, LossOfSamples* sums, float* gradient);

}  // namespace lockstep::cuda
