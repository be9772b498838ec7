#pragma once

#include <functional>
#include <memory>

#include "comm/communicator.h"

namespace lockstep {

// Whether this build has NCCL (LOCKSTEP_CUDA), and how many GPUs this process sees, 0 in a build without.
bool has_nccl();
int visible_gpus();

// A worker for each of `control`'s, whose gradients NCCL moves between GPUs, one a worker: what goes along
// the lanes scatter and gather, of the GPU or of the host. `control` (MPI) outlives it and carries all else:
// the lane of statistics, which is the host's alone, barriers, who is there, that all make the same calls,
// and what is said when one fails; nobody else uses it meanwhile. Collective; takes `control`'s timeout.
//
// NCCL has one queue, so lanes wait for each other in one way: a gather may wait for scatters that others
// started before it. Who waits for a gather before it has started such a scatter waits in vain.
//
// The environment variable LOCKSTEP_SHARE_GPUS=1 (rank 0's counts) lets workers share GPUs where a host has
// too few. Throws UsageError, on all workers alike, where there are too few without, and in a build without
// NCCL; CommError where NCCL or CUDA fail.
std::unique_ptr<Communicator> make_nccl(Communicator& control);

// Calls `worker` with such a communicator, which it ends. What all workers throw alike (an Error that is no
// CommError) is thrown on after it was left in order; after anything else it is aborted.
void run_and_leave(std::unique_ptr<Communicator> nccl, const std::function<void(Communicator&)>& worker);

}  // namespace lockstep
