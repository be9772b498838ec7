#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "layers/model/model.h"
#include "trainer/data/loader.h"

namespace lockstep {

struct Score {
  double loss = 0;      // mean over the samples
  double accuracy = 0;  // a fraction
  std::int64_t correct = 0;
  std::int64_t samples = 0;
};

// In place of an entry of running statistics: each batch's own, as in training.
inline constexpr std::size_t batch_statistics = std::numeric_limits<std::size_t>::max();

// Every sample of a data set once, in its order, in batches of `batch` samples cut into the model's shards
// (rule 7): a score for each of `entries`, indices of running statistics or `batch_statistics`. The same on
// any number of workers. Asked to stop meanwhile, all workers throw an Error of code `stopped`; where a loss
// is not finite, a DivergedError that names the first layer.
std::vector<Score> evaluate(Communicator& comm, Model& model, const std::shared_ptr<const Dataset>& dataset,
                            const Transform& transform, std::int64_t batch,
                            const std::vector<std::size_t>& entries, int loader_threads);

// Throws UsageError, naming layer and remedy, where a batch of such an evaluation would leave a channel a
// single value, which has no variance.
void check_batch_statistics(const Model& model, std::int64_t samples, std::int64_t batch);

}  // namespace lockstep
