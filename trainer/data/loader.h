#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "comm/tree/shard_layout.h"
#include "layers/model/batch.h"
#include "layers/tensor/buffer.h"
#include "trainer/data/dataset.h"

namespace lockstep {

// Mean and deviation a channel of pixels scaled to [0, 1].
struct InputNormalization {
  std::vector<double> mean, deviation;
};
// Of a whole data set, in exact integer sums: the same everywhere.
InputNormalization measure_normalization(const Dataset& dataset);

// How raw pixels become a network's input: crop and flip (training), then (pixel / 255 − mean) / deviation.
class Transform {
 public:
  Transform(SampleShape shape, InputNormalization normalization, AugmentConfig augment, std::uint64_t seed);
  // Augmentation is keyed by (seed, purpose, epoch, dataset index).
  void training(std::span<const std::uint8_t> pixels, std::int64_t epoch, std::int64_t index,
                std::span<float> out) const;
  void evaluation(std::span<const std::uint8_t> pixels, std::span<float> out) const;
  const InputNormalization& normalization() const;
  // (definition: private members)
};

// One worker's part of a global batch, on memory of its own.
class LoadedBatch {
 public:
  const BatchInput& input() const;
  std::int64_t step() const;
  // (definition: private members)
};

// Reads the own shards' samples of one global batch after the other, one thread ahead of the trainer.
class Loader {
 public:
  // Training batches of steps first_step, first_step + 1, … up to last_step (exclusive).
  static Loader training(std::shared_ptr<const Dataset> dataset, Transform transform,
                         const ShardLayout& layout, std::uint64_t seed, std::int64_t global, bool drop_last,
                         std::int64_t first_step, std::int64_t last_step);
  // The whole data set in its order, in batches of `batch`, each sample once; the last may be short.
  static Loader evaluation(std::shared_ptr<const Dataset> dataset, Transform transform,
                           const ShardLayout& layout, std::int64_t batch);
  // The next batch, or null after the last. Valid until the next call. Rethrows what the reading thread
  // threw.
  const LoadedBatch* next();
};

}  // namespace lockstep
