#pragma once

#include <span>

namespace lockstep {

// What the fixed tree's reduction is measured against, and nothing else: MPI_Allreduce in place, over all
// processes of the job, in whatever order MPI sums. Blocks without a deadline. Only while make_mpi's
// communicator lives. Throws CommError in MPI's words, UsageError in a build without MPI.
void plain_allreduce(std::span<float> values);

}  // namespace lockstep
