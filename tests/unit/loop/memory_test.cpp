#include "trainer/loop/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "comm/base/error.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

constexpr std::size_t mib = 1 << 20;

// A machine made of files.
class AvailableMemory : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "memory-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    write("proc/meminfo", "MemTotal:  4096000 kB\nMemFree:  1 kB\nMemAvailable:  2048 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }

  std::filesystem::path root_;
};

TEST_F(AvailableMemory, IsWhatTheKernelSays) {
  EXPECT_EQ(available_memory(root_), 2 * mib);
}

TEST_F(AvailableMemory, IsWhatTheControlGroupLeaves) {
  write("proc/self/cgroup", "0::/job/step\n");
  write("sys/fs/cgroup/job/step/memory.max", "1048576\n");
  write("sys/fs/cgroup/job/step/memory.current", "600000\n");
  write("sys/fs/cgroup/job/step/memory.stat", "anon 1\ninactive_file 200000\n");
  EXPECT_EQ(available_memory(root_), mib - 400'000);
}

TEST_F(AvailableMemory, ALimitOfAnOuterGroupHolds) {
  write("proc/self/cgroup", "0::/job/step\n");
  write("sys/fs/cgroup/job/step/memory.max", "max\n");
  write("sys/fs/cgroup/job/step/memory.current", "600000\n");
  write("sys/fs/cgroup/job/memory.max", "700000\n");
  write("sys/fs/cgroup/job/memory.current", "600000\n");
  EXPECT_EQ(available_memory(root_), 100'000U);
}

TEST_F(AvailableMemory, AGroupBeyondItsLimitLeavesNothing) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "1000\n");
  write("sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(available_memory(root_), 0U);
}

TEST(MemoryLimit, IsTheKeysWhereItIsGiven) {
  EXPECT_EQ(memory_limit(64, 1, 8).bytes, 64 * mib);
}

TEST(MemoryLimit, IsElseAShareOfWhatIsFree) {
  EXPECT_EQ(memory_limit(0, 100 * mib, 4).bytes, 25 * mib);
}

TEST(CheckMemory, WhatJustFitsPasses) {
  EXPECT_NO_THROW(check_memory(64 * mib, memory_limit(64, 0, 1)));
}

TEST(CheckMemory, WhatDoesNotFitIsRefusedWithTheRemedies) {
  try {
    check_memory(64 * mib + 1, memory_limit(64, 0, 1));
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("64 MiB"));
    EXPECT_THAT(error.what(), HasSubstr("plan.memory_mib is 64"));
    EXPECT_THAT(error.what(), HasSubstr("batch.global"));
  }
}

}  // namespace
}  // namespace lockstep
