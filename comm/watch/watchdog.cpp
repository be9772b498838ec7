#include "comm/watch/watchdog.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <csignal>
#include <mutex>

#include "comm/base/error.h"
#include "comm/watch/life.h"

namespace lockstep {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto longest_tick = 250ms;

double in_seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Standard error without a stream's lock, which the thread that stands still may hold. A pipe that is full is
// left alone. A write that blocks all the same is ended, and the process with it, by the alarm.
void write_line(const std::string& text, unsigned seconds) {
  pollfd standard_error{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (poll(&standard_error, 1, 0) != 1 || (standard_error.revents & POLLOUT) == 0) return;
  alarm(seconds);
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
  alarm(0);
}

// The system call or kernel function in which the main thread waits, where the kernel tells.
std::string kernel_place() {
  std::array<char, 64> name{};
  const int file = open("/proc/self/wchan", O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const auto length = read(file, name.data(), name.size() - 1);
  close(file);
  if (length <= 0 || name[0] == '0') return "";
  return fmt::format(", in the kernel's {}", name.data());
}

// Signals are for the threads that know what to do with them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

Watchdog::Watchdog(std::string who, std::chrono::milliseconds limit) : who_(std::move(who)), limit_(limit) {
  const SignalsBlocked blocked;
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

void Watchdog::watch(const std::stop_token& stop) const {
  pthread_setname_np(pthread_self(), "watchdog");
  const Clock::duration tick = std::min<Clock::duration>(longest_tick, limit_ / 8);
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  std::uint64_t seen = signs_of_life();
  Clock::duration quiet{};
  auto last = Clock::now();
  bool warned = false;
  while (!stopped.wait_for(lock, stop, tick, [&] { return stop.stop_requested(); })) {
    const auto now = Clock::now();
    quiet += std::min(now - last, 2 * tick);
    last = now;
    if (const std::uint64_t signs = signs_of_life(); signs != seen) {
      seen = signs;
      quiet = {};
      warned = false;
    }
    const auto tell = [&](std::string_view what, unsigned seconds) {
      write_line(fmt::format("{}: no progress for {:.3g} s in {}{}: {}\n", who_, in_seconds(quiet),
                             last_place(), kernel_place(), what),
                 seconds);
    };
    if (quiet >= limit_) {
      tell(
          "leaving. It stands still in a call of the system or of MPI, or its threads wait for each other; "
          "where "
          "only the disk is slow, a longer comm.timeout_s helps",
          1);
      _exit(static_cast<int>(ExitCode::peer));
    }
    if (quiet >= limit_ / 2 && !warned) {
      warned = true;
      tell(fmt::format("it leaves after {:.3g} s", in_seconds(limit_)),
           static_cast<unsigned>(in_seconds(limit_) / 2) + 1);
    }
  }
}

}  // namespace lockstep
