#include "trainer/data/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::testing {
namespace {

TEST(ForEachIndex, CallsEachOnceWhateverTheThreads) {
  for (const int threads : {1, 2, 5}) {
    std::vector<std::atomic<int>> calls(100);
    for_each_index(100, threads, [&](std::size_t thread, std::int64_t index) {
      ASSERT_LT(thread, static_cast<std::size_t>(threads));
      ++calls[static_cast<std::size_t>(index)];
    });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  for_each_index(0, 3, [](std::size_t, std::int64_t) { FAIL(); });
}

TEST(ForEachIndex, ThrowsWhatTheLowestIndexThrew) {
  for (int round = 0; round < 50; ++round) {
    try {
      for_each_index(1000, 4, [](std::size_t, std::int64_t index) {
        if (index >= 13) throw std::runtime_error(std::to_string(index));
      });
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "13");
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
