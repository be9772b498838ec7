#include "scripts/simulate/simulated.h"

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <smpi/smpi.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "comm/mpi/links.h"

namespace {

constexpr double seconds_a_message = 2e-7;  // of the worker that sends or receives it
constexpr std::size_t large = 64 << 10;
constexpr std::size_t shared_bytes = 256 << 20;  // the largest single piece there may be
char* shared_memory = nullptr;

bool only_looks() {
  return smpi_process_get_user_data() != nullptr;
}

MPI_Request finished_request() {
  MPI_Request receive = MPI_REQUEST_NULL;
  MPI_Request send = MPI_REQUEST_NULL;
  MPI_Irecv(nullptr, 0, MPI_BYTE, 0, 0, MPI_COMM_SELF, &receive);
  MPI_Isend(nullptr, 0, MPI_BYTE, 0, 0, MPI_COMM_SELF, &send);
  MPI_Wait(&receive, MPI_STATUS_IGNORE);
  return send;
}

// Asked without waiting. What MPI_Test ends stays for ever in a list of SimGrid's, which whatever ends later
// searches, so it is asked of one request alone. For the others one that has finished is put behind them: it
// is what MPI_Waitany finds if no other has.
bool have_finished(std::span<MPI_Request> requests) {
  int finished = 1;
  if (!requests.empty()) MPI_Test(&requests.back(), &finished, MPI_STATUS_IGNORE);
  if (finished == 0) return false;
  std::vector<MPI_Request> asked(requests.begin(), requests.end());
  asked.push_back(finished_request());
  for (int found = 0; std::cmp_less(found, requests.size());) {
    MPI_Waitany(static_cast<int>(asked.size()), asked.data(), &found, MPI_STATUS_IGNORE);
    if (std::cmp_less(found, requests.size())) requests[static_cast<std::size_t>(found)] = MPI_REQUEST_NULL;
  }
  return std::ranges::all_of(requests, [](MPI_Request request) { return request == MPI_REQUEST_NULL; });
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

void* __real__Znwm(std::size_t bytes);
void __real__ZdlPvm(void* memory, std::size_t bytes);

int __wrap_MPI_Testall(int count, MPI_Request* requests, int* finished, MPI_Status* /*statuses*/) {
  const std::span all(requests, static_cast<std::size_t>(count));
  *finished = only_looks() && !have_finished(all) ? 0 : 1;
  if (*finished == 0) return MPI_SUCCESS;
  // MPI_Waitall would look at all of them for each that ends.
  for (MPI_Request& request : all) MPI_Wait(&request, MPI_STATUS_IGNORE);
  simulated::compute(seconds_a_message * count);
  return MPI_SUCCESS;
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
