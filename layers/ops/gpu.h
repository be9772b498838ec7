#pragma once

#include <memory>
#include <optional>

#include "layers/ops/device.h"

namespace lockstep {

// Whether this build can use GPUs (LOCKSTEP_CUDA), and how many of NVIDIA's this process sees.
bool has_cuda();
int gpus_here();

struct GpuOptions {
  std::optional<int> index =
      std::nullopt;   // among those that this process sees; none: the calling thread's current one
  int threads = 1;    // that compute, each with a queue of its own
  bool tf32 = false;  // what trains may round fp32 numbers that it multiplies to 10 bits of precision
};

// A GPU as a device. Throws UsageError in a build without CUDA, and where there is no such GPU.
std::shared_ptr<const Device> open_gpu(const GpuOptions& options);

}  // namespace lockstep
