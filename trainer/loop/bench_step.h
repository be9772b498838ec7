#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

namespace lockstep {

// How fast steps go: forward, backward, exchange and update of one prepared batch of random images, used
// again and again with learning rate 0, so that every window does the same work.
struct StepSpeed {
  std::vector<double> images_per_s;  // one a window, over all workers: from barrier to barrier, slowest rank
  std::int64_t steps_per_window = 0;
};
// Collective; the same answer on all workers. Checks hosts, variances and memory as training does, and throws
// UsageError alike on all workers.
StepSpeed measure_steps(Communicator& comm, const Config& config, const InputFacts& input);

}  // namespace lockstep
