#include "layers/model/batch_on_device.h"

#include <algorithm>

namespace lockstep {

// An error of the device is told to whoever asks it next.
BatchOnDevice::~BatchOnDevice() {
  if (images_.empty()) return;
  try {
    for (const Memory& memory : images_) device_->await_copy(memory.data(), 0);
    for (const Memory& memory : labels_) device_->await_copy(memory.data(), 0);
    device_->wait();
  } catch (...) {
    return;
  }
}

BatchInput BatchOnDevice::bring(const BatchInput& batch, std::int64_t elements) {
  BatchInput there = batch;
  there.on_device = true;
  if (device_->is_host()) return there;
  const std::size_t shards = batch.shards.size();
  images_.resize(std::max(images_.size(), shards));
  labels_.resize(images_.size());
  for (std::size_t shard = 0; shard < shards; ++shard) {
    ShardInput& it = there.shards[shard];
    const std::size_t bytes = static_cast<std::size_t>(it.samples * elements) * sizeof(float);
    images_[shard].reserve(*device_, bytes);
    device_->begin_copy_in(images_[shard].data(), it.images, bytes);
    it.images = images_[shard].data<float>();
    labels_[shard].reserve(*device_, it.labels.size_bytes());
    device_->begin_copy_in(labels_[shard].data(), it.labels.data(), it.labels.size_bytes());
    it.labels = {labels_[shard].data<std::int32_t>(), it.labels.size()};
  }
  return there;
}

}  // namespace lockstep
