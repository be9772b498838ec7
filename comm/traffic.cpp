#include "comm/traffic.h"

#include <utility>

namespace lockstep {

Traffic no_traffic(const Communicator& comm, Traffic used) {
  const auto workers = static_cast<std::size_t>(comm.size());
  used.sends.assign(workers, 0);
  used.receives.assign(workers, 0);
  return used;
}

Traffic traffic_of_broadcast(const Communicator& comm, int root, std::size_t bytes) {
  Traffic traffic = no_traffic(comm);
  if (comm.rank() == root) traffic.sends.assign(traffic.sends.size(), bytes);
  traffic.receives[static_cast<std::size_t>(root)] = bytes;
  return traffic;
}

Traffic traffic_of_exchange(const Communicator& comm, std::span<const Outgoing<std::byte>> sends,
                            std::span<const Incoming<std::byte>> receives, Traffic used) {
  Traffic traffic = no_traffic(comm, std::move(used));
  for (const auto& it : sends) traffic.sends[static_cast<std::size_t>(it.to)] = it.data.size();
  for (const auto& it : receives) traffic.receives[static_cast<std::size_t>(it.from)] = it.into.size();
  return traffic;
}

}  // namespace lockstep
