#include <mpi.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

// To be preloaded into a worker: one bit of the checkpoint that rank FLIP_RANK receives is another than in
// the file, as faulty memory would have it. FLIP_BYTE is the offset in the file, FLIP_BIT the bit of that
// byte.
//
// The program sends a checkpoint in pieces, one broadcast behind the other. What else it broadcasts are
// single numbers of 8 bytes.
namespace {

constexpr int number = 8;

long from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtol(value, nullptr, 10) : -1;
}

bool is_chosen() {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank == from_environment("FLIP_RANK");
}

long received = 0;                       // bytes of the checkpoint
unsigned char* victim = nullptr;         // the byte to spoil, once it is there
MPI_Request carrier = MPI_REQUEST_NULL;  // what brings it

}  // namespace

extern "C" int MPI_Ibcast(void* buffer, int count, MPI_Datatype type, int root, MPI_Comm comm,
                          MPI_Request* request) {
  const int result = PMPI_Ibcast(buffer, count, type, root, comm, request);
  if (count <= number || !is_chosen()) return result;
  const long offset = from_environment("FLIP_BYTE") - received;
  received += count;
  if (offset >= 0 && offset < count) {
    victim = static_cast<unsigned char*>(buffer) + offset;
    carrier = *request;
  }
  return result;
}

extern "C" int MPI_Test(MPI_Request* request, int* finished, MPI_Status* status) {
  const bool awaited = victim != nullptr && *request == carrier;
  const int result = PMPI_Test(request, finished, status);
  if (awaited && *finished != 0) {
    *victim ^= static_cast<unsigned char>(1U << from_environment("FLIP_BIT"));
    victim = nullptr;
    std::fputs("flip_bit: one bit is another now\n", stderr);
  }
  return result;
}
