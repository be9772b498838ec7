#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/bench_step.h"

namespace lockstep {

// Steps as configured and as another configuration would have them, in many short windows that take turns,
// first one way around and then the other: what else the machine does meets both alike. Seconds of one step,
// on the slowest worker.
struct AgainstReport {
  std::vector<double> configured;  // one a window
  std::vector<double> other;       // the same windows
  std::int64_t steps_per_window = 0;
};
// Collective; the same answer on all workers. Both exchange over `comm`: of `other.comm` its backend and its
// timeouts are of no account. Throws as BenchedStep; both models are in memory at once.
AgainstReport measure_against(Communicator& comm, const Config& configured, const InputFacts& input,
                              const Config& other, const InputFacts& other_input, double window_seconds);

}  // namespace lockstep
