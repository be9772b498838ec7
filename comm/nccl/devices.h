#pragma once

#include <string>
#include <vector>

namespace lockstep::nccl {

// Where a worker runs, and what it sees there.
struct Seat {
  std::string host;
  std::vector<std::string> devices;  // what names each GPU that it sees, by its number there
};

struct Choice {
  int device = 0;       // its number on the worker's seat
  bool shared = false;  // with another worker
};

// The GPU of each worker, by rank: the first that it sees of those that the fewest workers before it took. So
// the workers of a host that all see the same GPUs get them in the order of ranks, and where a launcher shows
// each its own, they get that. Throws UsageError, naming the host, where a worker sees no GPU, or, unless
// they may share, none that is free.
std::vector<Choice> choose_devices(const std::vector<Seat>& seats, bool share);

}  // namespace lockstep::nccl
