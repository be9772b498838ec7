#pragma once

#include <spdlog/spdlog.h>

namespace lockstep {

// Sends the log to standard error, so that `--json` owns standard output. Rank 0 tells what happens;
// the other ranks only warn, with their rank in front (a warning that all ranks share is rank 0's to give).
void start_log(int rank);

}  // namespace lockstep
