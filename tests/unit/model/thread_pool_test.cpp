#include "layers/model/thread_pool.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "comm/base/error.h"

namespace lockstep {
namespace {

TEST(ThreadPool, GivesEachThreadItsContiguousPartInOrder) {
  ThreadPool pool(3);
  std::vector<int> threads(8, -1);
  pool.run(8, [&](std::int64_t index, int thread) { threads[static_cast<std::size_t>(index)] = thread; });
  EXPECT_EQ(threads, (std::vector<int>{0, 0, 0, 1, 1, 1, 2, 2}));
}

TEST(ThreadPool, ThrowsWhatTheLowestThreadThrewAndGoesOn) {
  ThreadPool pool(3);
  const auto fail = [](std::int64_t /*index*/, int thread) {
    if (thread > 0) throw std::runtime_error(thread == 1 ? "one" : "two");
  };
  try {
    pool.run(3, fail);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "one");
  }
  std::atomic<int> calls = 0;
  pool.run(5, [&](std::int64_t, int) { ++calls; });
  EXPECT_EQ(calls, 5);
}

// Sanitizers reserve more address space than this test leaves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Ends with the code and the words of what a pool of so many threads throws in a gigabyte of addresses.
void start(int threads) {
  mallopt(M_ARENA_MAX, 1);  // threads that reserve an arena each would race for the last addresses
  const rlimit little{.rlim_cur = rlim_t{1} << 30, .rlim_max = rlim_t{1} << 30};
  setrlimit(RLIMIT_AS, &little);
  try {
    const ThreadPool pool(threads);
  } catch (const UsageError& error) {
    std::fputs(error.what(), stderr);
    std::_Exit(static_cast<int>(error.code()));
  }
}

TEST(ThreadPoolDeathTest, SaysSoWhereTheSystemGivesFewerThreads) {
  EXPECT_EXIT(start(4096), ::testing::ExitedWithCode(2), "threads: 4096: only [0-9]+ could be started");
}

TEST(ThreadPoolDeathTest, SaysSoWhereMemoryRunsOutFirst) {
  EXPECT_EXIT(start(1 << 30), ::testing::ExitedWithCode(2), "threads: 1073741824: only 1 could be started");
}
#endif

}  // namespace
}  // namespace lockstep
