#pragma once

#include "comm/communicator.h"

namespace lockstep {

// What the running Open MPI says of itself through MPI's tools interface: which of its components are open on
// this worker, and in which order it prefers them. Of another MPI its name alone. Between MPI_Init and
// MPI_Finalize; it exchanges nothing.
Links ask_mpi_for_links();

}  // namespace lockstep
