#include <mpi.h>

#include <cstdio>
#include <cstdlib>

// To be preloaded into a worker: one bit of the checkpoint that rank FLIP_RANK receives is another than in
// the file, as faulty memory would have it. FLIP_BYTE is the offset in the file, FLIP_BIT the bit of that
// byte, FLIP_SIZE the size of the file, by which its message is known: it fits into one.
namespace {

long from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtol(value, nullptr, 10) : -1;
}

bool is_chosen() {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank == from_environment("FLIP_RANK");
}

unsigned char* victim = nullptr;  // the byte to spoil, once it is there

}  // namespace

extern "C" int MPI_Irecv(void* buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  if (count == from_environment("FLIP_SIZE") && is_chosen()) {
    victim = static_cast<unsigned char*>(buffer) + from_environment("FLIP_BYTE");
  }
  return PMPI_Irecv(buffer, count, type, source, tag, comm, request);
}

// Nothing else is under way while a checkpoint is received.
extern "C" int MPI_Testall(int count, MPI_Request* requests, int* finished, MPI_Status* statuses) {
  const bool awaited = victim != nullptr && count > 0;
  const int result = PMPI_Testall(count, requests, finished, statuses);
  if (awaited && *finished != 0) {
    *victim ^= static_cast<unsigned char>(1U << from_environment("FLIP_BIT"));
    victim = nullptr;
    std::fputs("flip_bit: one bit is another now\n", stderr);
  }
  return result;
}
