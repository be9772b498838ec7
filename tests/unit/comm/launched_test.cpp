#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "comm/mpi/mpi.h"

namespace lockstep::test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// An environment with these launchers' variables and no others.
class LaunchedTest : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }

  static void set(const std::map<std::string, std::string>& variables) {
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  static void clear() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE",
                             "PMIX_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"}) {
      unsetenv(name);
    }
  }
};

TEST_F(LaunchedTest, alone_there_is_no_launch) {
  EXPECT_FALSE(launched().has_value());
}

TEST_F(LaunchedTest, by_mpirun) {
  set({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}, {"PMIX_RANK", "2"}});
  ASSERT_TRUE(launched().has_value());
  EXPECT_EQ(launched()->rank, 2);
  EXPECT_EQ(launched()->size, 3);
}

TEST_F(LaunchedTest, by_a_launcher_that_speaks_pmi) {
  set({{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}, {"SLURM_NTASKS", "8"}});
  ASSERT_TRUE(launched().has_value());
  EXPECT_EQ(launched()->size, 4);
}

TEST_F(LaunchedTest, by_srun_with_pmix) {
  set({{"PMIX_RANK", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_NTASKS", "8"}});
  ASSERT_TRUE(launched().has_value());
  EXPECT_EQ(launched()->rank, 1);
  EXPECT_EQ(launched()->size, 4);
}

TEST_F(LaunchedTest, a_batch_script_of_slurm_is_no_launch) {
  set({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}});
  EXPECT_FALSE(launched().has_value());
}

TEST_F(LaunchedTest, srun_without_pmi_is_refused_for_several_processes) {
  set({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "1"}});
  EXPECT_FALSE(launched().has_value());
  set({{"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_THAT([] { launched(); }, ThrowsMessage<UsageError>(HasSubstr("srun --mpi=pmix")));
}

TEST_F(LaunchedTest, a_rank_that_is_no_number_is_refused_by_name) {
  set({{"OMPI_COMM_WORLD_RANK", "2x"}, {"OMPI_COMM_WORLD_SIZE", "3"}});
  EXPECT_THAT([] { launched(); }, ThrowsMessage<UsageError>(HasSubstr("OMPI_COMM_WORLD_RANK='2x'")));
}

}  // namespace
}  // namespace lockstep::test
