#pragma once

#include <cstdint>
#include <memory>

#include "comm/tree/shard_layout.h"
#include "trainer/data/dataset.h"
#include "trainer/data/loaded_batch.h"
#include "trainer/data/transform.h"

namespace lockstep {

// Reads the own shards' samples of one global batch after the other, ahead of the trainer: while a batch is
// used, `threads` threads read the next one, a sample each at a time. What they read does not depend on how
// many they are. Memory: two batches.
class Loader {
 public:
  // Training batches of steps first_step, first_step + 1, … up to last_step (exclusive). Throws
  // std::invalid_argument where an epoch has no step. device: that computes (LoadedBatch).
  static Loader training(std::shared_ptr<const Dataset> dataset, Transform transform,
                         const ShardLayout& layout, std::uint64_t seed, std::int64_t global, bool drop_last,
                         std::int64_t first_step, std::int64_t last_step, int threads = 1,
                         const std::shared_ptr<const Device>& device = nullptr);
  // The whole data set in its order, in batches of `batch`, each sample once; the last may be short. A
  // batch's step is its number.
  static Loader evaluation(std::shared_ptr<const Dataset> dataset, Transform transform,
                           const ShardLayout& layout, std::int64_t batch, int threads = 1,
                           const std::shared_ptr<const Device>& device = nullptr);

  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;
  ~Loader();  // waits for no more than the samples that are being read

  // The next batch, or null after the last. Valid until the next call. Throws what reading one of its samples
  // threw, the first where there were several; then there is no batch after it.
  const LoadedBatch* next();

 private:
  class Reader;
  explicit Loader(std::unique_ptr<Reader> reader);
  std::unique_ptr<Reader> reader_;
};

}  // namespace lockstep
