#pragma once

#include <algorithm>
#include <cstdint>

#include "comm/base/host_device.h"
#include "layers/ops/kernels.h"

// Which inputs an output of a pooling sees, and which outputs see an input, along one side of an image.
namespace lockstep {

// Pixels [begin, end).
struct Reach {
  std::int64_t begin, end;
  LOCKSTEP_HOST_DEVICE std::int64_t size() const { return end - begin; }
};

// The inputs that `output` sees, of so many inputs.
LOCKSTEP_HOST_DEVICE inline Reach window_of(const Pooling& p, std::int64_t output, std::int64_t inputs) {
  const std::int64_t begin = output * p.stride - p.padding;
  return {std::max<std::int64_t>(begin, 0), std::min(begin + p.window, inputs)};
}

// The outputs that see `input`, of so many outputs.
LOCKSTEP_HOST_DEVICE inline Reach watchers_of(const Pooling& p, std::int64_t input, std::int64_t outputs) {
  const std::int64_t first = std::max<std::int64_t>(input + p.padding - p.window + p.stride, 0) / p.stride;
  return {first, std::min((input + p.padding) / p.stride + 1, outputs)};
}

}  // namespace lockstep
