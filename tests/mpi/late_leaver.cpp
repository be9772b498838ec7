#include <mpi.h>
#include <unistd.h>

#include <cstdio>

// To be preloaded into the workers: rank 0 is slow to leave, as on a machine that is very busy. Open MPI
// kills the workers that are left two seconds after one left with an error.
extern "C" int MPI_Finalize() {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const int result = PMPI_Finalize();
  if (rank == 0) {
    std::fputs("late_leaver: all may leave\n", stderr);
    for (unsigned left = 4; left > 0;) left = sleep(left);  // signals cut it short
  }
  return result;
}
