#include "trainer/data/loaded_batch.h"

#include "layers/ops/device.h"
#include "layers/tensor/buffer.h"

namespace lockstep {

void LoadedBatch::lay_out(std::int64_t step, const ShardLayout& layout, std::int64_t global,
                          std::int64_t elements) {
  step_ = step;
  elements_ = static_cast<std::size_t>(elements);
  input_ = {.global = global, .shards = {}};
  places_.clear();

  std::size_t bytes = 0;
  std::size_t samples = 0;
  for (std::int64_t shard = layout.block().begin; shard < layout.block().end; ++shard) {
    const Range range = layout.samples(global, shard);
    const auto count = static_cast<std::size_t>(range.size());
    places_.push_back({bytes / sizeof(float), samples});
    input_.shards.push_back({nullptr, {}, range.begin, range.size()});
    bytes += aligned(count * elements_ * sizeof(float));
    samples += count;
  }
  const std::size_t first_label = bytes;
  bytes += samples * sizeof(std::int32_t);

  if (bytes > room_) {
    memory_ = (device_ ? *device_ : host()).allocate_on_host(bytes);
    room_ = bytes;
  }
  labels_ = {reinterpret_cast<std::int32_t*>(memory_.get() + first_label), samples};
  for (std::size_t i = 0; i < places_.size(); ++i) {
    ShardInput& shard = input_.shards[i];
    if (shard.samples == 0) continue;
    shard.images = images() + places_[i].first_value;
    shard.labels = labels_.subspan(places_[i].first_label, static_cast<std::size_t>(shard.samples));
  }
}

std::span<float> LoadedBatch::image(std::size_t shard, std::int64_t sample) {
  const std::size_t before = static_cast<std::size_t>(sample) * elements_;
  return {images() + places_[shard].first_value + before, elements_};
}

std::int32_t& LoadedBatch::label(std::size_t shard, std::int64_t sample) {
  return labels_[places_[shard].first_label + static_cast<std::size_t>(sample)];
}

void LoadedBatch::bring() {
  if (!device_) return;
  if (!there_) there_.emplace(*device_);
  input_ = there_->bring(input_, static_cast<std::int64_t>(elements_));
}

}  // namespace lockstep
