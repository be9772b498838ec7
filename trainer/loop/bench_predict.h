#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

namespace lockstep {

// How fast one thread classifies images, as `lockstep predict` does: from raw pixels in memory to the
// likeliest class, batch norm folded, with random weights.
struct PredictSpeed {
  std::vector<double> images_per_s;  // one a window
  std::int64_t images_per_window = 0;
};
// Images are given batch.global at a time. Throws UsageError as Model's constructor does.
PredictSpeed measure_predictions(Communicator& comm, const Config& config, const InputFacts& input,
                                 double window_seconds);

}  // namespace lockstep
