#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "comm/communicator.h"

namespace lockstep::nccl {

class Transfer;

// The transfers of the two lanes of gradients that NCCL has not got yet. It gets them in one order, the same
// on all workers, which have started them in orders of their own: those of a lane in the order of that lane,
// and a gather before a scatter where all workers had started the gather first, else behind it. Every worker
// knows that from what they told each other when they agreed on the two.
//
// So no scatter waits for a gather that somebody has yet to start. A gather may wait for scatters.
class Queue {
 public:
  // The last of its lane.
  void add(Transfer& transfer);
  // It may be gone before NCCL got it.
  void remove(Transfer& transfer);
  // How many transfers of the other lane this worker has started.
  std::uint64_t started_beside(Lane lane) const { return beside(lane).started; }

  // Hands over whatever may be. Throws CommError once any transfer has failed, which it names where it is not
  // the one that is waited for.
  void progress(const Transfer* waited_for);

 private:
  struct Waiting {
    std::deque<Transfer*> transfers{};
    std::uint64_t started = 0;
    std::uint64_t handed_over = 0;
  };
  struct Failure {
    const Transfer* transfer;
    std::string call;
    std::string reason;
  };

  Waiting& of(Lane lane) { return lane == Lane::gather ? gathers_ : scatters_; }
  const Waiting& beside(Lane lane) const { return lane == Lane::gather ? scatters_ : gathers_; }
  bool advance(Lane lane);

  Waiting scatters_;
  Waiting gathers_;
  std::optional<Failure> failure_;
};

}  // namespace lockstep::nccl
