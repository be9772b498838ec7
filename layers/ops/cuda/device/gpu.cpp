#include "layers/ops/gpu.h"

#include <fmt/format.h>

#include "comm/base/error.h"
#include "layers/ops/cuda/device/check.h"
#include "layers/ops/cuda/device/device.h"
#include "layers/ops/cuda/operations.h"

namespace lockstep {
namespace {

int current_gpu() {
  int index = 0;
  cuda::check(cudaGetDevice(&index), "asking which GPU is current");
  return index;
}

}  // namespace

bool has_cuda() {
  return true;
}

int gpus_here() {
  return cuda::device_count();
}

std::shared_ptr<const Device> open_gpu(const GpuOptions& options) {
  const int seen = cuda::device_count();
  if (seen == 0) {
    throw UsageError(
        "this machine has no GPU that CUDA can use: it has none of NVIDIA's, no driver for it, or "
        "CUDA_VISIBLE_DEVICES hides it. Set device to cpu");
  }
  if (options.index.value_or(0) >= seen) {
    throw UsageError(fmt::format("there is no GPU {}: this process sees {}", *options.index, seen));
  }
  return std::make_shared<cuda::Operations<cuda::Device>>(std::make_unique<cuda::Device>(
      cuda::DeviceOptions{.index = options.index ? *options.index : current_gpu(),
                          .streams = options.threads,
                          .tf32 = options.tf32}));
}

}  // namespace lockstep
