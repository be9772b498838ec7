#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

// To be preloaded into a worker: bits of a message that rank SPOIL_RANK receives are others than what was
// sent, as faulty memory would have them. SPOIL_SIZE is the size of the message in bytes, by which it is
// known, and SPOIL_COUNT says which message of that size it is (1 unless told); SPOIL_BYTE is an offset in
// it, and SPOIL_XOR and SPOIL_OR are what its four bytes there, as a little-endian word, are changed with.
// With SPOIL_STARVE there is no memory for it.
namespace {

long from_environment(const char* name, long otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtol(value, nullptr, 0) : otherwise;
}

bool is_chosen(int size) {
  static long left = from_environment("SPOIL_COUNT", 1);
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return size == from_environment("SPOIL_SIZE", -1) && rank == from_environment("SPOIL_RANK", -1) &&
         --left == 0;
}

unsigned char* victim = nullptr;  // what to spoil, once it is there
MPI_Request brings_it = MPI_REQUEST_NULL;

}  // namespace

extern "C" int MPI_Irecv(void* buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  const bool chosen = is_chosen(count);
  if (chosen && from_environment("SPOIL_STARVE", 0) != 0) {
    std::fputs("spoil_message: there is no memory\n", stderr);
    throw std::bad_alloc();
  }
  const int result = PMPI_Irecv(buffer, count, type, source, tag, comm, request);
  if (chosen) {
    victim = static_cast<unsigned char*>(buffer) + from_environment("SPOIL_BYTE", 0);
    brings_it = *request;
  }
  return result;
}

extern "C" int MPI_Testall(int count, MPI_Request* requests, int* finished, MPI_Status* statuses) {
  const bool awaited =
      victim != nullptr && std::find(requests, requests + count, brings_it) != requests + count;
  const int result = PMPI_Testall(count, requests, finished, statuses);
  if (awaited && *finished != 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, victim, sizeof word);
    word ^= static_cast<std::uint32_t>(from_environment("SPOIL_XOR", 0));
    word |= static_cast<std::uint32_t>(from_environment("SPOIL_OR", 0));
    std::memcpy(victim, &word, sizeof word);
    victim = nullptr;
    std::fputs("spoil_message: memory is another now\n", stderr);
  }
  return result;
}
