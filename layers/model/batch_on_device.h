#pragma once

#include <span>
#include <vector>

#include "layers/model/batch.h"
#include "layers/ops/memory.h"
#include "layers/tensor/shape.h"

namespace lockstep {

// Brings batches of the host to a device. Where that is the host itself nothing is moved.
class BatchOnDevice {
 public:
  BatchOnDevice(const Device& device, const SampleShape& image) : device_(device), image_(image) {}

  // The same shards with images and labels on the device, until the next call. They may still be on their
  // way: each shard's copies are awaited under its number (Device::await_copies).
  std::vector<ShardInput> bring(std::span<const ShardInput> shards);

 private:
  const Device& device_;
  SampleShape image_;
  std::vector<Memory> images_;  // of a shard each
  std::vector<Memory> labels_;
};

}  // namespace lockstep
