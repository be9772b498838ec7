#include "trainer/loop/clocks.h"

#include <gtest/gtest.h>

#include "tests/support/run_workers.h"

namespace lockstep {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

nanoseconds steady() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

TEST(CompareClocks, BoundsHowFarAClockIsAhead) {
  for (const nanoseconds skew : {nanoseconds(1h), nanoseconds(-1h), nanoseconds(90s)}) {
    test::run_workers(3, [&](Communicator& comm) {
      const nanoseconds ahead = comm.rank() * skew;
      const ClockOffset offset = compare_clocks(comm, [&] { return steady() + ahead; });
      EXPECT_LE(std::chrono::abs(offset.ahead - ahead), offset.uncertain) << comm.rank();
      EXPECT_LT(offset.uncertain, 20s);  // the timeout, so never reached
      EXPECT_LE(offset.at, steady() + ahead);
      EXPECT_GE(offset.at, steady() + ahead - 20s);
    });
  }
}

TEST(CompareClocks, OneClockIsNeverAheadOfItself) {
  test::run_workers(4, [](Communicator& comm) { EXPECT_EQ(compare_clocks(comm, steady).ahead, 0ns); });
}

TEST(CompareClocks, AllowsForMessagesThatTakeTheirTime) {
  // Both clocks go on by 1 ms a look, so each message seems to take 1 ms: nothing narrower is known.
  test::run_workers(2, [](Communicator& comm) {
    const nanoseconds ahead = comm.rank() == 0 ? 0s : 5s;
    nanoseconds time = ahead;
    const ClockOffset offset = compare_clocks(comm, [&] { return time += 1ms; });
    EXPECT_EQ(offset.ahead, ahead);
    EXPECT_EQ(offset.uncertain, 1ms);
  });
}

}  // namespace
}  // namespace lockstep
