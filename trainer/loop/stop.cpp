#include "trainer/loop/stop.h"

#include <atomic>
#include <chrono>
#include <csignal>

#include "comm/watch/life.h"

namespace lockstep {
namespace {

std::atomic<bool> asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

struct sigaction term_before {};

using Clock = std::chrono::steady_clock;
constexpr Clock::time_point never = Clock::time_point::max();
std::atomic<Clock::time_point> end_of_time{never};  // thread workers read it

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
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, &term_before);
}

StopSignals::~StopSignals() {
  std::signal(SIGUSR1, SIG_IGN);
  sigaction(SIGTERM, &term_before, nullptr);
}

TimeLimit::TimeLimit(double seconds) {
  if (seconds == 0) return;
  end_of_time = Clock::now() + std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(seconds));
}

TimeLimit::~TimeLimit() {
  end_of_time = never;
}

bool TimeLimit::is_over() {
  return Clock::now() >= end_of_time.load();
}

bool stop_requested() {
  return asked || TimeLimit::is_over();
}

}  // namespace lockstep
