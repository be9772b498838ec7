#pragma once

#include <chrono>
#include <functional>

#include "comm/communicator.h"

namespace lockstep {

// How far this worker's clock is ahead of rank 0's.
struct ClockOffset {
  std::chrono::nanoseconds at{};         // when that was, by this worker's clock
  std::chrono::nanoseconds ahead{};      // 0 where it may be the same clock
  std::chrono::nanoseconds uncertain{};  // at most so much more or less
};

// Collective. Each of some rounds bounds the offset from both sides: nobody receives a message before it was
// sent. The narrowest bounds count, as in Cristian's algorithm (1989).
ClockOffset compare_clocks(Communicator& comm, const std::function<std::chrono::nanoseconds()>& clock);

}  // namespace lockstep
