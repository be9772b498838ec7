#include "comm/mpi/mpi.h"
#include "comm/mpi/plain_sum.h"

namespace lockstep {

std::unique_ptr<Communicator> make_mpi() {
  throw UsageError(
      "this build has no MPI: configure with -DLOCKSTEP_MPI=ON, or start without a launcher and use "
      "--workers");
}

void plain_allreduce(std::span<float> /*values*/) {
  throw UsageError("this build has no MPI to compare with: configure with -DLOCKSTEP_MPI=ON");
}

}  // namespace lockstep
