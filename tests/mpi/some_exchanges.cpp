#include <mpi.h>
// Needs mpi.h before it.
#include <mpi-ext.h>

#include <array>
#include <cstdlib>

// What count_exchanges.py expects exchange_counter to see: calls of each kind, on three workers.

namespace {

struct Worker {
  int rank = 0;
  MPI_Comm ring = MPI_COMM_NULL;
  MPI_Comm backwards = MPI_COMM_NULL;  // ranks in reverse
};

Worker set_up() {
  Worker it;
  const int size = 3;
  const int periodic = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &it.rank);
  MPI_Comm_split(MPI_COMM_WORLD, 0, -it.rank, &it.backwards);
  MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &periodic, 0, &it.ring);
  return it;
}

void collectives(const Worker& worker) {
  const std::array<int, 3> ones{1, 1, 1};
  const std::array<int, 3> places{0, 1, 2};
  std::array<int, 3> all{};
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Barrier(worker.backwards);
  MPI_Neighbor_allgather(&worker.rank, 1, MPI_INT, all.data(), 1, MPI_INT, worker.ring);
  MPI_Iallgatherv(&worker.rank, 1, MPI_INT, all.data(), ones.data(), places.data(), MPI_INT, MPI_COMM_WORLD,
                  &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);

  MPIX_Bcast_init(all.data(), 3, MPI_INT, 0, MPI_COMM_WORLD, MPI_INFO_NULL, &request);
  MPI_Start(&request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Startall(1, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Request_free(&request);
}

// Rank 0 sends to rank 2 once, and to rank 1 twice.
void messages(const Worker& worker) {
  int value = worker.rank;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Send(&value, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD);
  if (worker.rank == 0) {
    MPI_Isend(&value, 1, MPI_INT, 0, 0, worker.backwards, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Ssend_init(&value, 1, MPI_INT, 1, 0, MPI_COMM_WORLD, &request);
  }
  if (worker.rank == 1) MPI_Recv_init(&value, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, &request);
  if (worker.rank == 2) MPI_Recv(&value, 1, MPI_INT, 2, 0, worker.backwards, MPI_STATUS_IGNORE);
  for (int time = 0; time < 2 && worker.rank < 2; ++time) {
    MPI_Start(&request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  }

  const int next = (worker.rank + 1) % 3;
  const int previous = (worker.rank + 2) % 3;
  MPI_Sendrecv_replace(&value, 1, MPI_INT, next, 0, previous, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

}  // namespace

int main() {
  MPI_Init(nullptr, nullptr);
  const Worker worker = set_up();
  collectives(worker);
  messages(worker);
  MPI_Finalize();
  return EXIT_SUCCESS;
}
