#pragma once

#include <memory>
#include <optional>

#include "comm/communicator.h"

namespace lockstep {

// What the launcher (mpirun, srun) put into the environment, known before MPI starts; empty without one.
// Throws UsageError where that is no number, and where srun started several processes that cannot find each
// other.
struct Launch {
  int rank = 0;
  int size = 1;
};
std::optional<Launch> launched();

// One worker a process of the MPI job. Initializes MPI (funneled: all calls come from this thread) and
// duplicates the world once a lane. The destructor finalizes MPI, unless an operation failed: then its
// handles are abandoned and the process must leave by `abort` or `_exit`. Throws UsageError in a build
// without MPI.
std::unique_ptr<Communicator> make_mpi();

}  // namespace lockstep
