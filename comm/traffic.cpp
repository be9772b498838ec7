#include "comm/traffic.h"

namespace lockstep {

Traffic no_traffic(const Communicator& comm) {
  const auto workers = static_cast<std::size_t>(comm.size());
  return {std::vector<std::size_t>(workers), std::vector<std::size_t>(workers)};
}

Traffic traffic_of_broadcast(const Communicator& comm, int root, std::size_t bytes) {
  Traffic traffic = no_traffic(comm);
  if (comm.rank() == root) traffic.sends.assign(traffic.sends.size(), bytes);
  traffic.receives[static_cast<std::size_t>(root)] = bytes;
  return traffic;
}

Traffic traffic_of_exchange(const Communicator& comm, const std::vector<Outgoing<std::byte>>& sends,
                            const std::vector<Incoming<std::byte>>& receives) {
  Traffic traffic = no_traffic(comm);
  for (const auto& it : sends) traffic.sends[static_cast<std::size_t>(it.to)] = it.data.size();
  for (const auto& it : receives) traffic.receives[static_cast<std::size_t>(it.from)] = it.into.size();
  return traffic;
}

}  // namespace lockstep
