#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

// How the workers of a job come to one mind: small collectives on the statistics lane, so all workers call
// them in the same order.
namespace lockstep {

// Every worker's text, by rank.
std::vector<std::string> gather_texts(Communicator& comm, std::string_view name, const std::string& mine);

// The largest of all workers' values.
std::uint8_t largest(Communicator& comm, std::string_view name, std::uint8_t mine);

// Rank 0's value, everywhere.
std::int64_t from_rank_0(Communicator& comm, std::string_view name, std::int64_t value);

// Runs `work`, which may fail on this worker alone (a file missing on one host, a folder in use), and throws
// the same Error on all workers where it failed on any: that of the lowest rank, named unless all failed
// alike. Waits twice the timeout for the others, since the work itself may wait as long as one. A CommError
// passes through: nobody would hear of it.
void agree(Communicator& comm, std::string_view name, const std::function<void()>& work);

// Throws the same UsageError on all workers unless all bring the same text, naming the hosts that differ from
// rank 0's. `what` says what differs: "processor features".
void require_same(Communicator& comm, std::string_view what, const std::string& mine);

// What this machine calls itself.
std::string host_name();
// Workers on this worker's host, itself included.
int workers_on_host(Communicator& comm);

}  // namespace lockstep
