#pragma once

#include <mpi.h>

#include <cstddef>
#include <string>

namespace lockstep {

// What MPI calls an error.
std::string error_text(int result);

// Throws CommError with MPI's own words where a call did not succeed.
void require(int result);

// MPI counts in `int`. Throws CommError where that is too small.
int as_int(std::size_t bytes);

}  // namespace lockstep
