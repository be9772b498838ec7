#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <thread>

namespace lockstep {

// Sees to it that a process which stands still where no deadline looks (inside MPI, in a write to a dead disk
// or a full pipe, in threads that wait for each other) is gone in time: without a sign of life (life.h) for
// half of `limit` it writes a line, after `limit` it writes another and ends the process with ExitCode::peer.
// Its thread writes and exits, nothing else. Time in which the whole process was stopped does not count.
class Watchdog {
 public:
  // who: how its lines begin, "rank 1 of 3".
  Watchdog(std::string who, std::chrono::milliseconds limit);

 private:
  void watch(const std::stop_token& stop) const;

  std::string who_;
  std::chrono::milliseconds limit_;
  std::jthread thread_;  // last, so that it ends first
};

}  // namespace lockstep
