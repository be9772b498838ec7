#pragma once

#include "trainer/data/dataset.h"

namespace lockstep {

// Tells on standard error which images were left out because they are corrupt, and how many.
void tell_skipped(const Datasets& data);

}  // namespace lockstep
