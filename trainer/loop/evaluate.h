#pragma once

#include <cstdint>
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

// Every sample of a data set once, in its order, in batches of `batch` samples cut into the model's shards
// (rule 7): a score for each of `entries`, indices of running statistics. The same on any number of workers.
std::vector<Score> evaluate(Communicator& comm, Model& model, const std::shared_ptr<const Dataset>& dataset,
                            const Transform& transform, std::int64_t batch,
                            const std::vector<std::size_t>& entries);

}  // namespace lockstep
