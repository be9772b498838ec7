#include "layers/ops/gpu.h"

#include <fmt/format.h>

#include <cstdlib>

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

// The oldest that our kernels are compiled for (cmake/LockstepCuda.cmake).
void require_known_architecture(int index) {
  constexpr int oldest = 8;
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, index), "asking what a GPU is");
  if (properties.major >= oldest) return;
  throw UsageError(fmt::format(
      "GPU {} ({}) has compute capability {}.{}, and this build is for {}.0 and later: use a newer "
      "one, or set device to cpu",
      index, properties.name, properties.major, properties.minor, oldest));
}

}  // namespace

bool has_cuda() {
  return true;
}

int gpus_here() {
  return cuda::device_count();
}

std::shared_ptr<const Device> open_gpu(const GpuOptions& options) {
  if (std::getenv("NVIDIA_TF32_OVERRIDE") != nullptr) {
    throw UsageError(
        "NVIDIA_TF32_OVERRIDE is set, which changes how GPUs multiply, unseen: unset it, and set precision "
        "to "
        "fp32 or tf32");
  }
  const int seen = cuda::device_count();
  if (seen == 0) {
    throw UsageError(
        "this machine has no GPU that CUDA can use: it has none of NVIDIA's, no driver for it, or "
        "CUDA_VISIBLE_DEVICES hides it. Set device to cpu");
  }
  if (options.index.value_or(0) >= seen) {
    throw UsageError(fmt::format("there is no GPU {}: this process sees {}", *options.index, seen));
  }
  const int index = options.index ? *options.index : current_gpu();
  require_known_architecture(index);
  return std::make_shared<cuda::Operations<cuda::Device>>(std::make_unique<cuda::Device>(
      cuda::DeviceOptions{.index = index, .streams = options.threads, .tf32 = options.tf32}));
}

}  // namespace lockstep
