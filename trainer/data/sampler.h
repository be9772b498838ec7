#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

// The order in which an epoch visits the training set: a pure function, the same on every worker.
std::vector<std::int64_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t size);

// Where a step lies. Steps count from 0 over the whole run.
struct StepPlace {
  std::int64_t epoch = 0;
  std::int64_t begin = 0;    // first position in the epoch's order
  std::int64_t samples = 0;  // of the global batch; less in an epoch's last step
};
std::int64_t steps_per_epoch(std::int64_t size, std::int64_t global, bool drop_last);
StepPlace step_place(std::int64_t step, std::int64_t size, std::int64_t global, bool drop_last);

}  // namespace lockstep
