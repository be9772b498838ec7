#pragma once

#include "comm/base/error.h"

namespace lockstep {

// Writes out the log and the standard streams and ends this process at once: no destructor runs, so nothing
// waits for a worker that will never answer.
[[noreturn]] void leave_process(ExitCode code);

// The writing out alone.
void flush_output();

}  // namespace lockstep
