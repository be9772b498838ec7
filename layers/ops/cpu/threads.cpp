#include "layers/ops/threads.h"

#include <omp.h>

#include <stdexcept>

namespace lockstep {
namespace {

thread_local bool prepared = false;

}  // namespace

void prepare_compute_thread() {
  omp_set_num_threads(1);
  prepared = true;
}

void check_compute_thread() {
  if (!prepared || omp_get_max_threads() != 1) {
    throw std::logic_error("a thread that computes must call prepare_compute_thread() first");
  }
  if (omp_in_parallel() != 0) {
    throw std::logic_error("kernels are made and run outside any OpenMP parallel region");
  }
}

}  // namespace lockstep
