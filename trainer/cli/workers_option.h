#pragma once

#include <optional>

#include "trainer/cli/arguments.h"

namespace lockstep {

// --workers N, of the commands that run on several workers.
Option workers_option();
std::optional<int> requested_workers(const Arguments& arguments);

}  // namespace lockstep
