#include "trainer/loop/stop.h"

#include <atomic>
#include <csignal>

namespace lockstep {
namespace {

std::atomic<bool> asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

void install(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags =
      SA_RESTART | SA_ONSTACK;  // never on a stack that compiled kernels use (prepare_compute_thread)
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  asked = false;
  install([](int) { asked = true; });
}

StopSignals::~StopSignals() {
  install(SIG_DFL);
}

bool StopSignals::requested() {
  return asked;
}

}  // namespace lockstep
