#include "layers/ops/cuda/device/launch.cuh"
#include "layers/ops/cuda/launches/loss.h"

namespace lockstep::cuda {

template void softmax_cross_entropy(const Stream&, const Logits&, double, std::int64_t, std::byte*,
                                    LossOfSamples*, float*);

}  // namespace lockstep::cuda
