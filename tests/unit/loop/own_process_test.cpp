#include "trainer/loop/own_process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

TEST(OwnProcess, RunsSinceNotLongAgo) {
  const double before = seconds_since_process_start();
  EXPECT_GE(before, 0);
  EXPECT_LT(before, 3600);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_GE(seconds_since_process_start(), before + 0.03);
}

TEST(OwnProcess, PeakGrowsWithWhatIsTouchedAndStays) {
  constexpr std::int64_t size = 64 << 20;
  const std::int64_t before = peak_memory();
  EXPECT_EQ(std::vector<char>(size, 1).back(), 1);
  EXPECT_GE(peak_memory(), before + size / 2);
}

}  // namespace
}  // namespace lockstep
