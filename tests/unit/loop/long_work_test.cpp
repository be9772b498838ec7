#include "trainer/loop/long_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <future>
#include <thread>

#include "comm/threads/threads.h"
#include "tests/unit/loop/outcomes.h"
#include "trainer/loop/stop.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::vector<std::string> outcomes(int size, std::chrono::milliseconds timeout,
                                  const std::function<void(int rank, const Meanwhile& meanwhile)>& work) {
  return test::outcomes(size, [&](Communicator& comm) {
    comm.set_timeout(timeout);
    agree_on_long_work(comm, "data", [&](const Meanwhile& meanwhile) { work(comm.rank(), meanwhile); });
  });
}

void work_until_told(const Meanwhile& meanwhile) {
  for (;;) {
    meanwhile();
    std::this_thread::sleep_for(1ms);
  }
}

TEST(AgreeOnLongWork, PassesWhereNobodyFails) {
  for (const int size : {1, 2, 3}) {
    EXPECT_THAT(outcomes(size, 20s, [](int, const Meanwhile& meanwhile) { meanwhile(); }), testing::Each(""));
  }
}

// Longer than the timeout, and than what `agree` waits beyond it.
TEST(AgreeOnLongWork, WaitsForAWorkerThatIsStillAtIt) {
  const auto slow_on_1 = [](int rank, const Meanwhile& meanwhile) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (rank == 1 && std::chrono::steady_clock::now() < end) {
      meanwhile();
      std::this_thread::sleep_for(1ms);
    }
  };
  EXPECT_THAT(outcomes(3, 1500ms, slow_on_1), testing::Each(""));
}

// One that has done its own work gives it up, and so does one that is still at it.
TEST(AgreeOnLongWork, GivesUpAWorkerThatIsNot) {
  for (const bool at_work : {false, true}) {
    std::promise<void> given_up;
    const auto worker = [&](Communicator& comm) {
      comm.set_timeout(300ms);
      try {
        agree_on_long_work(comm, "data", [&](const Meanwhile& meanwhile) {
          if (comm.rank() == 1) return given_up.get_future().wait();
          if (at_work) work_until_told(meanwhile);
        });
      } catch (const CommError& error) {
        if (comm.rank() == 1) throw;
        EXPECT_THAT(error.what(), HasSubstr("nothing from rank 1"));
        given_up.set_value();
        throw;
      }
    };
    EXPECT_THROW(run_threads(2, worker), CommError);
  }
}

TEST(AgreeOnLongWork, AFailureEndsTheWorkOfAll) {
  const auto told = outcomes(3, 2s, [](int rank, const Meanwhile& meanwhile) {
    if (rank == 1) throw DataError("a.png is broken");
    if (rank == 2) work_until_told(meanwhile);
  });
  EXPECT_THAT(
      told, testing::Each(testing::AllOf(testing::StartsWith("3 rank 1 on"), HasSubstr("a.png is broken"))));
}

TEST(AgreeOnLongWork, ARequestToStopEndsTheWorkOfAll) {
  {
    const StopSignals signals;
    const auto told = outcomes(3, 2s, [](int rank, const Meanwhile& meanwhile) {
      if (rank == 1) std::raise(SIGUSR1);
      if (rank == 2) work_until_told(meanwhile);
    });
    EXPECT_THAT(told, testing::Each(testing::StartsWith("75 stopped before the first step")));
  }
  const StopSignals again;  // forgets the signal
}

}  // namespace
}  // namespace lockstep
