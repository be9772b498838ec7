#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/model/batch.h"
#include "layers/ops/memory.h"

namespace lockstep {

// A device's memory for one batch of the host. Where the device is the host itself nothing is moved.
class BatchOnDevice {
 public:
  explicit BatchOnDevice(const Device& device) : device_(&device) {}
  BatchOnDevice(BatchOnDevice&&) = default;
  BatchOnDevice& operator=(BatchOnDevice&&) = default;
  ~BatchOnDevice();  // waits for what is on its way

  // The same batch with images, of `elements` values each, and labels on the device, until the next call.
  // They may still be on their way: Device::await_copy, for the images and for the labels of a shard.
  BatchInput bring(const BatchInput& batch, std::int64_t elements);

 private:
  const Device* device_;
  std::vector<Memory> images_;  // of a shard each
  std::vector<Memory> labels_;
};

}  // namespace lockstep
