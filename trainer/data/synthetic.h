#pragma once

#include <cstdint>
#include <memory>

#include "trainer/data/dataset.h"

namespace lockstep {

// Samples that need no file and no memory: sample i has label i mod classes, and its pixels are one quarter
// the pattern of that class and three quarters noise. A pure function of the shape, the classes and the
// sample's number, whatever the run's seed; so a network can learn it, and everybody has the same. The data
// set holds the samples numbered first, first + 1, ….
std::shared_ptr<const Dataset> make_synthetic(const SyntheticConfig& config, std::int64_t first,
                                              std::int64_t samples);

}  // namespace lockstep
