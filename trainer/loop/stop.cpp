#include "trainer/loop/stop.h"

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>

#include "comm/watch/life.h"

namespace lockstep {
namespace {

std::atomic<bool> asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

constexpr std::array signals{SIGUSR1, SIGTERM};
std::array<struct sigaction, signals.size()> before{};

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
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &before[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &before[i], nullptr);
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
