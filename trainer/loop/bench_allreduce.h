#pragma once

#include <cstddef>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"

namespace lockstep {

// The fixed tree's sum of gradients (GradientReducer, as training makes it) beside MPI_Allreduce in place,
// for one size of the summed array, in windows that take turns. Seconds of one sum, on the slowest worker.
struct AllreduceSize {
  std::size_t bytes = 0;
  std::vector<double> tree;  // one a window
  std::vector<double> mpi;   // the same windows
};
// 64 B to 16 MiB, a power of two each. Collective, on MPI; the same answer on all workers. A worker whose
// shards are several subtrees brings an array for each, as in training, and a single one to MPI. Nothing
// overlaps. Throws std::logic_error where the two sums are not the same.
std::vector<AllreduceSize> measure_allreduce(Communicator& comm, const Config& config, double window_seconds);

}  // namespace lockstep
