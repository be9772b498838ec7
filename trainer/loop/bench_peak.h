#pragma once

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "layers/model/bare_step.h"
#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

namespace lockstep {

// A training step beside the bare primitives of its convolutions and linear layers
// (layers/model/bare_step.h), in windows that take turns. Seconds of one step, on the slowest worker.
struct PeakReport {
  struct Primitive {
    std::string layer;
    std::string pass;  // "forward", "backward_data" or "backward_weight"
    std::string implementation;
    std::vector<double> seconds;  // one a window, of rank 0
  };
  std::vector<Primitive> primitives;
  std::vector<double> sums;   // of all primitives, one a window
  std::vector<double> steps;  // the same windows
};
// Collective; the same sums and steps on all workers. Throws UsageError alike on all workers where a worker
// has several threads, and as BenchedStep.
PeakReport measure_peak(Communicator& comm, const Config& config, const InputFacts& input,
                        double window_seconds);

}  // namespace lockstep
