#include "scripts/simulate/simulated.h"

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <smpi/smpi.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>

#include "comm/mpi/links.h"

namespace {

constexpr double seconds_a_message = 2e-7;  // of the worker that sends or receives it
constexpr std::size_t large = 64 << 10;
constexpr std::size_t shared_bytes = 256 << 20;  // the largest single piece there may be
char* shared_memory = nullptr;

bool only_looks() {
  return smpi_process_get_user_data() != nullptr;
}

}  // namespace

namespace lockstep {

Links ask_mpi_for_links() {
  return {.within_host = "", .between_hosts = "", .carrier = "SimGrid"};
}

}  // namespace lockstep

namespace simulated {

void only_look(bool looks) {
  static char some;
  smpi_process_set_user_data(looks ? &some : nullptr);
}

void share_large_memory() {
  // What SimGrid gave out as shared it does not copy either.
  if (shared_memory == nullptr) shared_memory = static_cast<char*>(SMPI_SHARED_MALLOC(shared_bytes));
}

double now() {
  return simgrid_get_clock();
}

void compute(double seconds) {
  if (seconds > 0) sg_actor_sleep_for(seconds);
}

}  // namespace simulated

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming): the
// linker's
extern "C" {

int __real_MPI_Testall(int count, MPI_Request* requests, int* finished, MPI_Status* statuses);
void* __real__Znwm(std::size_t bytes);
void __real__ZdlPvm(void* memory, std::size_t bytes);

int __wrap_MPI_Testall(int count, MPI_Request* requests, int* finished, MPI_Status* statuses) {
  const int result = __real_MPI_Testall(count, requests, finished, statuses);
  if (result != MPI_SUCCESS || *finished != 0 || only_looks()) return result;
  // All at once: where messages begin one after another, each new one changes the share of all others, and
  // the simulation does little else than work that out.
  simulated::compute(seconds_a_message * count);
  *finished = 1;
  return MPI_Waitall(count, requests, statuses);
}

// std::chrono::steady_clock::now, from which deadlines are counted.
std::chrono::steady_clock::time_point __wrap__ZNSt6chrono3_V212steady_clock3nowEv() {
  const std::chrono::duration<double> virtual_time(simulated::now());
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(virtual_time));
}

// operator new and delete.
void* __wrap__Znwm(std::size_t bytes) {
  if (shared_memory == nullptr || bytes < large) return __real__Znwm(bytes);
  if (bytes > shared_bytes) std::abort();
  return shared_memory;
}
void __wrap__ZdlPvm(void* memory, std::size_t bytes) {
  if (memory == nullptr || memory != shared_memory) __real__ZdlPvm(memory, bytes);
}
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)
