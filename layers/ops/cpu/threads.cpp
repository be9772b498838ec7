#include "layers/ops/threads.h"

#include <omp.h>

#include <csignal>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "layers/ops/cpu/oldest_processor.h"

namespace lockstep {
namespace {

thread_local bool prepared = false;

// Kernels that oneDNN compiles keep data further below the stack pointer than a signal spares, so a handler
// on a computing thread's stack destroys it. Handlers that ask for it (SA_ONSTACK) run here instead.
class SignalStack {
 public:
  SignalStack() {
    stack_t stack{};
    stack.ss_sp = memory_.data();
    stack.ss_size = memory_.size();
    sigaltstack(&stack, nullptr);
  }
  ~SignalStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  std::vector<std::byte> memory_ = std::vector<std::byte>(64 << 10);
};

}  // namespace

void prepare_compute_thread() {
  require_processor();
  thread_local const SignalStack signal_stack;
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
