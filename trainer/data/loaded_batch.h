#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "comm/tree/shard_layout.h"
#include "layers/model/batch.h"
#include "layers/model/batch_on_device.h"

namespace lockstep {

// One worker's part of a global batch, on memory of its own: each own shard's images start on 64 bytes.
class LoadedBatch {
 public:
  // device: that computes with it, and brings the memory for it, of the host; null: the processor.
  explicit LoadedBatch(std::shared_ptr<const Device> device = nullptr) : device_(std::move(device)) {}

  const BatchInput& input() const { return input_; }
  std::int64_t step() const { return step_; }

  // Becomes the batch of `step`: lays out room for the worker's shards of `global` samples, each an image of
  // `elements` values. What was in it is lost; its memory is used again.
  void lay_out(std::int64_t step, const ShardLayout& layout, std::int64_t global, std::int64_t elements);
  // Where sample `sample` of the own shard number `shard` (0: the worker's first) goes.
  std::span<float> image(std::size_t shard, std::int64_t sample);
  std::int32_t& label(std::size_t shard, std::int64_t sample);
  // Begins to bring what has been read to the device: `input` is there from now on, until the next `lay_out`.
  void bring();

 private:
  BatchInput input_;
  std::int64_t step_ = 0;
  std::size_t elements_ = 0;
  float* images() const { return reinterpret_cast<float*>(memory_.get()); }

  std::shared_ptr<const Device> device_;
  std::shared_ptr<std::byte> memory_;  // images, then labels
  std::size_t room_ = 0;               // bytes
  std::span<std::int32_t> labels_;
  struct Place {
    std::size_t first_value, first_label;  // of all images and labels
  };
  std::vector<Place> places_;           // of each own shard
  std::optional<BatchOnDevice> there_;  // last, so that it goes before the memory that it copies from
};

}  // namespace lockstep
