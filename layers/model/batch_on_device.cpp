#include "layers/model/batch_on_device.h"

namespace lockstep {

std::vector<ShardInput> BatchOnDevice::bring(std::span<const ShardInput> shards) {
  std::vector<ShardInput> there(shards.begin(), shards.end());
  if (device_.is_host()) return there;
  if (images_.size() < shards.size()) {
    images_.resize(shards.size());
    labels_.resize(shards.size());
  }
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    ShardInput& it = there[shard];
    const std::size_t bytes = static_cast<std::size_t>(it.samples * image_.elements()) * sizeof(float);
    images_[shard].reserve(device_, bytes);
    device_.begin_copy_in(shard, images_[shard].data(), it.images, bytes);
    it.images = images_[shard].data<float>();
    labels_[shard].reserve(device_, it.labels.size_bytes());
    device_.begin_copy_in(shard, labels_[shard].data(), it.labels.data(), it.labels.size_bytes());
    it.labels = {labels_[shard].data<std::int32_t>(), it.labels.size()};
  }
  return there;
}

}  // namespace lockstep
