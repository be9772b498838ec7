#include "trainer/loop/stop.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

#include "comm/watch/life.h"

namespace lockstep {
namespace {

std::atomic<bool> asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

constexpr std::array signals{SIGUSR1, SIGTERM};
std::array<struct sigaction, signals.size()> before{};

}  // namespace

StopSignals::StopSignals() {
  asked = false;
  struct sigaction action {};
  action.sa_handler = [](int signal) {
    asked = true;
    if (signal == SIGTERM) told_to_end();
  };
  action.sa_flags =
      SA_RESTART | SA_ONSTACK;  // never on a stack that compiled kernels use (prepare_compute_thread)
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &before[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &before[i], nullptr);
}

bool StopSignals::requested() {
  return asked;
}

}  // namespace lockstep
