#pragma once

#include <functional>

#include "comm/communicator.h"

namespace lockstep {

// Runs `worker` on `size` threads of this process, each with its communicator, and returns when all have
// ended. When one throws, the collectives of the others end with CommError, and the first exception (of the
// lowest rank that threw something else than such a consequence) is thrown here. A worker that hangs is given
// some seconds more after another gave up on it; then the process ends with ExitCode::peer.
void run_threads(int size, const std::function<void(Communicator&)>& worker);

}  // namespace lockstep
