#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

namespace lockstep {

// What synchronizing batch normalization costs: the step of the configured model with statistics of the whole
// batch, and the same step where each shard has its own and none are kept for inference, so that nothing but
// gradients and the loss is exchanged; in windows that take turns. Seconds of one step, on the slowest
// worker.
struct NormReport {
  std::vector<double> global;  // one a window
  std::vector<double> local;   // the same windows
  std::int64_t steps_per_window = 0;
};
// Collective; the same answer on all workers. normalization.sync is of no account; the running statistics are
// kept as configured in `global` alone. Throws UsageError alike on all workers where the model has no
// batch_norm, and as BenchedStep; both models are in memory at once.
NormReport measure_norm(Communicator& comm, const Config& config, const InputFacts& input,
                        double window_seconds);

}  // namespace lockstep
