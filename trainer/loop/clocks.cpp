#include "trainer/loop/clocks.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace lockstep {
namespace {

constexpr std::size_t rounds = 32;

}  // namespace

ClockOffset compare_clocks(Communicator& comm, const std::function<std::chrono::nanoseconds()>& clock) {
  const auto workers = static_cast<std::size_t>(comm.size());
  const std::vector<std::size_t> one_each(workers, 1);
  std::array<std::int64_t, rounds> sent{};      // of this worker
  std::array<std::int64_t, rounds> received{};  // of rank 0
  std::array<std::int64_t, rounds> done{};      // when this worker had heard from all
  std::vector<std::int64_t> all(workers);
  for (std::size_t round = 0; round < rounds; ++round) {
    sent[round] = clock().count();
    comm.all_gather(Lane::statistics, "clocks", std::span<const std::int64_t>(&sent[round], 1),
                    std::span(all), one_each)
        .wait();
    done[round] = clock().count();
    received[round] = all.front();
  }
  std::array<std::int64_t, rounds> done_at_0 = done;
  comm.broadcast(Lane::statistics, "clocks", std::span<std::int64_t>(done_at_0), 0).wait();

  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (std::size_t round = 0; round < rounds; ++round) {
    least = std::max(least, sent[round] - done_at_0[round]);
    most = std::min(most, done[round] - received[round]);
  }
  const bool may_be_the_same = least <= 0 && most >= 0;
  const std::int64_t ahead = may_be_the_same ? 0 : least + (most - least) / 2;
  return {.at = clock(),
          .ahead = std::chrono::nanoseconds(ahead),
          .uncertain = std::chrono::nanoseconds(std::max(most - ahead, ahead - least))};
}

}  // namespace lockstep
