#include "trainer/loop/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "trainer/loop/agree.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Ranges, AreReadAndWritten) {
  for (const char* text : {"0", "0-1", "3,5", "0-3,8,10-11"}) {
    EXPECT_EQ(as_ranges(parse_ranges(text)), text);
  }
  EXPECT_THAT(parse_ranges("0-2,7"), ElementsAre(0, 1, 2, 7));
  EXPECT_EQ(as_ranges({}), "");
  EXPECT_THROW(parse_ranges("all"), std::invalid_argument);
}

TEST(OwnPlacement, IsThatOfTheKernel) {
  cpu_set_t mask;
  ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  const Placement placement = own_placement(3);
  EXPECT_EQ(placement.host, host_name());
  EXPECT_EQ(placement.threads, 3);
  ASSERT_FALSE(placement.cores.empty());
  EXPECT_LE(placement.cores.size(), static_cast<std::size_t>(CPU_COUNT(&mask)));
  EXPECT_LE(static_cast<int>(placement.cores.size()), placement.machine_cores);
}

// A machine made of files.
class Machine : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "placement-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    write("proc/sys/kernel/random/boot_id", "d63a9088\n");
    write("sys/devices/system/cpu/online", "0-7\n");
    for (int processor = 0; processor < 8; ++processor) {
      const int first = processor % 4;
      write("sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list",
            std::to_string(first) + "," + std::to_string(first + 4) + "\n");
    }
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  void allow(const std::string& processors) const {
    write("proc/thread-self/status",
          "Name:\tlockstep\nCpus_allowed:\tff\nCpus_allowed_list:\t" + processors + "\n");
  }

  std::filesystem::path root_;
};

TEST_F(Machine, CoresAreNamedByTheirFirstHardwareThread) {
  allow("1,5-6");
  const Placement placement = own_placement(1, root_);
  EXPECT_EQ(placement.machine, "d63a9088");
  EXPECT_THAT(placement.cores, ElementsAre(1, 2));
  EXPECT_EQ(placement.machine_cores, 4);
  EXPECT_TRUE(placement.bound());
}

TEST_F(Machine, OneHardwareThreadOfEachCoreIsNoBinding) {
  allow("0-3");
  EXPECT_FALSE(own_placement(1, root_).bound());
}

TEST_F(Machine, WithoutItsTopologyEachProcessorIsACore) {
  std::filesystem::remove_all(root_ / "sys/devices/system/cpu/cpu6");
  allow("6");
  EXPECT_THAT(own_placement(1, root_).cores, ElementsAre(6));
}

TEST_F(Machine, WhatIsUnreadableIsUnknown) {
  EXPECT_THAT(own_placement(1, root_).cores, IsEmpty());
  allow("some");
  EXPECT_THAT(own_placement(1, root_).cores, IsEmpty());
  EXPECT_FALSE(own_placement(1, root_).bound());
}

Placement on(std::vector<int> cores, int threads = 1, const std::string& machine = "a") {
  return {
      .host = "host", .machine = machine, .cores = std::move(cores), .machine_cores = 4, .threads = threads};
}

TEST(Crowds, NoneWhereEachThreadCanHaveACore) {
  EXPECT_THAT(crowds({}), IsEmpty());
  const std::vector<std::vector<Placement>> spacious{
      {on({0}), on({1}), on({2}), on({3})},
      {on({0, 1, 2, 3}), on({0, 1, 2, 3}), on({0, 1, 2, 3}), on({0, 1, 2, 3})},
      {on({0, 1}, 2), on({2, 3}, 2)},
      {on({0, 1}), on({0, 2}), on({0})},  // the first two must move away for the last
      {on({0, 1}), on({1, 2}), on({2, 3}), on({0})},
      {on({0}, 1, "a"), on({0}, 1, "b")},  // another machine's core
      {on({}), on({})},                    // unknown
  };
  for (const auto& placements : spacious) EXPECT_THAT(crowds(placements), IsEmpty());
}

TEST(Crowds, AreThoseWhoHaveTooFewCoresBetweenThem) {
  const auto one = crowds(std::vector{on({0}), on({0, 1, 2}), on({0})});
  ASSERT_EQ(one.size(), 1U);
  EXPECT_THAT(one[0].ranks, ElementsAre(0, 2));
  EXPECT_THAT(one[0].cores, ElementsAre(0));
  EXPECT_EQ(one[0].threads, 2);
  EXPECT_TRUE(one[0].fits);
}

TEST(Crowds, AreFoundThroughOthersWhoCannotMove) {
  const auto found = crowds(std::vector{on({0, 1}), on({1, 2}), on({0, 2}), on({1, 2}), on({3})});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0].ranks, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(found[0].cores, ElementsAre(0, 1, 2));
  EXPECT_FALSE(found[0].fits);
}

TEST(Crowds, CountThreads) {
  const auto found = crowds(std::vector{on({0}, 2), on({1, 2}, 2)});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0].ranks, ElementsAre(0));
  EXPECT_EQ(found[0].threads, 2);
  EXPECT_TRUE(found[0].fits);
}

TEST(Crowds, AreTakenTogetherOnAMachine) {
  const auto found =
      crowds(std::vector{on({0}, 1, "b"), on({3}), on({0}), on({3}), on({0}), on({0}, 1, "b")});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(found[0].ranks, ElementsAre(0, 5));
  EXPECT_THAT(found[1].ranks, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(found[1].cores, ElementsAre(0, 3));
}

}  // namespace
}  // namespace lockstep
