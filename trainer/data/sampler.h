#pragma once

#include <cstdint>
#include <vector>

#include "layers/tensor/random.h"

namespace lockstep {

// 0 … size − 1 in random order (Fisher-Yates): a pure function of `random`, `position` and `size`.
std::vector<std::int64_t> shuffled(const Random& random, std::uint64_t position, std::int64_t size);

// The order in which an epoch visits the training set: a pure function, the same on every worker.
std::vector<std::int64_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t size);

// Where a step lies. Steps count from 0 over the whole run.
struct StepPlace {
  std::int64_t epoch = 0;
  std::int64_t begin = 0;    // first position in the epoch's order
  std::int64_t samples = 0;  // of the global batch; less in an epoch's last step
  bool operator==(const StepPlace&) const = default;
};
// 0 where `drop_last` drops the only, short batch: the caller's to refuse.
std::int64_t steps_per_epoch(std::int64_t size, std::int64_t global, bool drop_last);
// Throws std::invalid_argument where an epoch has no step.
StepPlace step_place(std::int64_t step, std::int64_t size, std::int64_t global, bool drop_last);

}  // namespace lockstep
