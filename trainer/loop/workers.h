#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>

#include "comm/communicator.h"
#include "trainer/config/schema.h"

namespace lockstep {

// How a job's workers come about. Known before any of them starts.
struct Workers {
  enum class Kind : std::uint8_t { single, threads, mpi };
  Kind kind = Kind::single;
  int count = 1;
  int rank = 0;  // of this process
};

// Under a launcher: its processes, with MPI (and NCCL beside it where comm.backend is that). Alone:
// `requested` threads of this process (default 1). Throws UsageError where comm.backend or `requested` does
// not fit how this process was started or what the workers train on, where this build or this machine has
// none of that, and where there are more workers than shards.
Workers choose_workers(const Config& config, std::optional<int> requested);

// Lets the other processes of a launcher know that this one failed before its worker could run; rank 0 tells
// it, and all throw it alike as a ToldError. Returns where there is nobody to tell, or the workers met
// already.
void share_failure(const std::exception_ptr& failure);

// Runs `worker` on every worker of this process, ready to compute, with the timeout of the configuration, and
// returns when all have ended. What all workers throw alike (usage, data, divergence, states that differ) is
// thrown here, over MPI as a ToldError: rank 0 has told it, as others may leave, and have it killed, before
// this returns. So is a CommError; anything else is a bug of one worker, and ends the job.
void run_workers(const Workers& workers, const CommConfig& config,
                 const std::function<void(Communicator&)>& worker);

}  // namespace lockstep
