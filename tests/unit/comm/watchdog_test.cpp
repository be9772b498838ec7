#include "comm/watch/watchdog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>

#include "comm/watch/life.h"

namespace lockstep::test {
namespace {

using namespace std::chrono_literals;

CallSite call() {
  return {Collective::all_gather, "go on", Lane::statistics, 42, "step 7", ElementType::i64};
}

void stand_still() {
  while (true) pause();
}

TEST(WatchdogDeathTest, ends_a_process_that_stands_still_and_says_where) {
  const auto run = [] {
    alive_in("checkpoint");
    alive_in(call());
    const Watchdog watchdog("rank 1 of 3", 300ms);
    stand_still();
  };
  EXPECT_EXIT(
      run(), testing::ExitedWithCode(4),
      "rank 1 of 3: no progress for .* in phase 'checkpoint', behind all_gather 'go on' .statistics #42, "
      "step 7.*: leaving");
}

TEST(WatchdogDeathTest, warns_before) {
  const auto run = [] {
    const Watchdog watchdog("rank 1 of 3", 300ms);
    stand_still();
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(4), "it leaves after 0.3 s");
}

TEST(WatchdogDeathTest, leaves_alone_what_shows_signs_of_life) {
  const auto run = [] {
    const Watchdog watchdog("rank 1 of 3", 1s);
    for (int i = 0; i < 40; ++i) {
      alive();
      std::this_thread::sleep_for(50ms);
    }
    _exit(7);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(7), "^$");
}

TEST(WatchdogDeathTest, does_not_write_to_a_pipe_that_nobody_empties) {
  const auto run = [] {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0 || dup2(ends[1], STDERR_FILENO) < 0) _exit(9);
    const Watchdog watchdog("rank 1 of 3", 300ms);
    const std::array<char, 4096> page{};
    while (true) [[maybe_unused]] const auto written = write(STDERR_FILENO, page.data(), page.size());
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(4), "");
}

TEST(Watchdog, ends_with_its_owner) {
  alive();
  for (int i = 0; i < 3; ++i) const Watchdog watchdog("rank 1 of 3", 1h);
}

}  // namespace
}  // namespace lockstep::test
