#pragma once

#include <string>

#include "comm/communicator.h"
#include "trainer/checkpoint/run_directory.h"
#include "trainer/config/schema.h"
#include "trainer/loop/device.h"

namespace lockstep {

enum class Outcome { finished, stopped };

// One worker's whole training run: opens data and run directory, trains, evaluates, saves. Every worker calls
// it. Errors that it throws (UsageError, DataError, DivergedError, and one of code `peer` where the workers'
// states differ) are the same on all workers; a CommError is not. `stopped`: asked to stop, and a checkpoint
// was saved; all workers have reached this point. Asked to stop while it waits for the run directory, it
// throws an Error of code `stopped`: nothing was written. trace: where rank 0 writes what all workers did
// when (Tracing); empty: nowhere. open_device: brings what the worker trains on.
Outcome train(Communicator& comm, const Config& config, RunDirectory::Open open,
              const std::string& trace = "", const OpenDevice& open_device = lockstep::open_device);

}  // namespace lockstep
