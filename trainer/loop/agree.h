#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "comm/texts.h"

// How the workers of a job come to one mind: small collectives on the statistics lane, so all workers call
// them in the same order.
namespace lockstep {

// The largest of all workers' values.
std::int64_t largest(Communicator& comm, std::string_view name, std::int64_t mine);

// Rank 0's value, everywhere.
std::int64_t from_rank_0(Communicator& comm, std::string_view name, std::int64_t value);

// Runs `work`, which may fail on this worker alone (a file missing on one host, a folder in use), and throws
// the same Error on all workers where it failed on any: that of the lowest rank, named unless all failed
// alike. Waits a little longer than the timeout for the others, since the work itself may wait as
// long. A CommError
// passes through: nobody would hear of it.
void agree(Communicator& comm, std::string_view name, const std::function<void()>& work);

// Where the workers' texts are not all the same: a line for rank 0's and for each that differs from it, with
// rank and host. Empty where they are. The same on all workers.
std::string differing(Communicator& comm, std::string_view name, const std::string& mine);

// What this machine calls itself.
std::string host_name();
// Workers on this worker's host, itself included.
int workers_on_host(Communicator& comm);
// Workers that say the same, this one included.
int workers_alike(Communicator& comm, std::string_view name, const std::string& mine);

}  // namespace lockstep
