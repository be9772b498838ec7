#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lockstep {

// One shard of a global batch: images NHWC on 64 bytes, and labels.
struct ShardInput {
  const float* images = nullptr;
  std::span<const std::int32_t> labels;
  std::int64_t first_sample = 0;  // position in the global batch
  std::int64_t samples = 0;       // 0: an empty shard
};

// What one worker sees of a global batch: its own shards, in order.
struct BatchInput {
  std::int64_t global = 0;  // samples over all workers
  std::vector<ShardInput> shards;
  // Images and labels are in memory of the device that computes, or on their way (BatchOnDevice).
  bool on_device = false;
};

}  // namespace lockstep
