#include "comm/base/error.h"
#include "layers/ops/gpu.h"

namespace lockstep {

bool has_cuda() {
  return false;
}

int gpus_here() {
  return 0;
}

std::shared_ptr<const Device> open_gpu(const GpuOptions& /*options*/) {
  throw UsageError(
      "this build has no CUDA: configure with cmake --preset cuda (scripts/cuda_toolkit.sh brings what that "
      "needs), or set device to cpu");
}

}  // namespace lockstep
