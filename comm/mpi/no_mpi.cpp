#include "comm/mpi/mpi.h"

namespace lockstep {

std::unique_ptr<Communicator> make_mpi() {
  throw UsageError(
      "this build has no MPI: configure with -DLOCKSTEP_MPI=ON, or start without a launcher and use "
      "--workers");
}

}  // namespace lockstep
