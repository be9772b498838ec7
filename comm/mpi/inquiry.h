#pragma once

#include <mpi.h>

#include <chrono>
#include <optional>
#include <vector>

#include "comm/mpi/exchange.h"
#include "comm/watch/call_history.h"

namespace lockstep {

// What the workers tell each other once something is wrong, on a communicator of its own: each sends its
// history to all others. Nothing is sent before.
class Inquiry {
 public:
  // Collective.
  Inquiry(int rank, int size);

  // A worker that has begun one, if any.
  std::optional<int> begun_by();

  // Sends `mine` to all and collects theirs, as far as they come within `patience`, or within a second once
  // the launcher has told this worker to end. Only the first call of a process asks; the answer is empty
  // afterwards.
  std::vector<std::optional<CallHistory>> hear(const CallHistory& mine, std::chrono::milliseconds patience);

  void free() { lane_.free(); }

 private:
  void tell_and_wait(const CallHistory& mine, std::chrono::milliseconds patience);

  int rank_;
  int size_;
  MessageLane lane_;
  int open_ = 0;
  std::optional<Exchange> exchange_;
  // Fixed in size, so that nobody must ask how long a history is. MPI may write to it until the process ends.
  std::vector<char> texts_;
};

}  // namespace lockstep
