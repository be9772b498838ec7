#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.h"

namespace lockstep {

// Bytes that a call of this worker sends and receives, by rank: what transports compare between workers, and
// keep for when something is wrong.
struct Traffic {
  std::vector<std::size_t> sends, receives;
};

// used: whose memory it takes.
Traffic no_traffic(const Communicator& comm, Traffic used = {});
// Whatever way the data takes, it is the root's.
Traffic traffic_of_broadcast(const Communicator& comm, int root, std::size_t bytes);
Traffic traffic_of_exchange(const Communicator& comm, std::span<const Outgoing<std::byte>> sends,
                            std::span<const Incoming<std::byte>> receives, Traffic used = {});

}  // namespace lockstep
