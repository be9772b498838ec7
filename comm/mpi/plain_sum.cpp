#include "comm/mpi/plain_sum.h"

#include <mpi.h>

#include "comm/mpi/calls.h"

namespace lockstep {

void plain_allreduce(std::span<float> values) {
  require(
      MPI_Allreduce(MPI_IN_PLACE, values.data(), as_int(values.size()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD));
}

}  // namespace lockstep
