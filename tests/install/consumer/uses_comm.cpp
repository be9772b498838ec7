// Three threads tell each other their ranks.
#include <cstdio>
#include <vector>

#include "comm/threads/threads.h"

int main() {
  lockstep::run_threads(3, [](lockstep::Communicator& comm) {
    const std::vector<std::int32_t> mine{comm.rank()};
    const std::vector<std::size_t> one_each(3, 1);
    std::vector<std::int32_t> all(3);
    comm.all_gather<std::int32_t>(lockstep::Lane::statistics, "ranks", mine, all, one_each).wait();
    if (comm.rank() == 2) std::printf("%d %d %d of %d\n", all[0], all[1], all[2], comm.size());
  });
}
