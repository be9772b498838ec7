#include "trainer/loop/tracing.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "comm/base/error.h"
#include "tests/support/run_workers.h"
#include "tests/unit/checkpoint/file_size_limit.h"
#include "tests/unit/checkpoint/temporary_folder.h"

// Traces of whole trainings are tested in tests/binary/traces.py.
namespace lockstep {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class TracingTest : public testing::Test {
 protected:
  // Steps of `slices` slices each, of which rank 1 has `more` more.
  void trace(int steps, int slices, int more, std::size_t most) {
    test::run_workers(2, [&](Communicator& comm) {
      Tracing tracing(comm, file_.string(), 1, most);
      for (int step = 1; step <= steps; ++step) {
        comm.trace()->begin_step(step);
        const std::string name = "step " + std::to_string(step);
        const int mine = slices + (comm.rank() == 1 ? more : 0);
        for (int i = 0; i < mine; ++i) const TraceSpan span(comm.trace(), "work", name);
      }
      tracing.write();
    });
  }
  // Of each worker, the names of its work and how often they are there.
  std::map<int, std::map<std::string, int>> work() const {
    std::map<int, std::map<std::string, int>> found;
    const json trace = json::parse(read_file(file_));
    for (const json& event : trace["traceEvents"]) {
      if (event.value("cat", "") == "work") ++found[event["pid"]][event["name"]];
    }
    return found;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "trace.json";
};

TEST_F(TracingTest, BringsAllWorkersIntoOneFile) {
  trace(2, 3, 1, 1000);
  const std::map<int, std::map<std::string, int>> expected{{0, {{"step 1", 3}, {"step 2", 3}}},
                                                           {1, {{"step 1", 4}, {"step 2", 4}}}};
  EXPECT_EQ(work(), expected);
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"trace.json"});
}

TEST_F(TracingTest, AllEndWithTheLastStepThatIsWholeOnEach) {
  trace(10, 10, 10, 90);
  // Rank 1 is full in step 5, rank 0 in step 9.
  std::map<std::string, int> zero{{"step 1", 10}, {"step 2", 10}, {"step 3", 10}, {"step 4", 10}};
  std::map<std::string, int> one{{"step 1", 20}, {"step 2", 20}, {"step 3", 20}, {"step 4", 20}};
  EXPECT_EQ(work()[0], zero);
  EXPECT_EQ(work()[1], one);
}

TEST_F(TracingTest, KeepsAStepThatIsTooLargeInPart) {
  trace(3, 100, 0, 50);
  EXPECT_EQ(work()[0].size(), 1U);
  EXPECT_GT(work()[0]["step 1"], 0);
}

TEST_F(TracingTest, IsNothingWithoutAFile) {
  test::run_workers(2, [&](Communicator& comm) {
    // What rank 0 was told counts.
    Tracing tracing(comm, comm.rank() == 0 ? "" : file_.string(), 1);
    EXPECT_EQ(comm.trace(), nullptr);
    tracing.write();
  });
  EXPECT_TRUE(names_in(folder_.path()).empty());
}

TEST_F(TracingTest, MakesTheFoldersOfItsFile) {
  file_ = folder_ / "a/b/trace.json";
  trace(1, 1, 0, 100);
  EXPECT_EQ(work().size(), 2U);
}

TEST_F(TracingTest, RefusesAFileThatCannotBeWrittenOnAllWorkers) {
  std::atomic<int> refused = 0;
  write_file(folder_ / "file", "");
  for (const std::filesystem::path& file : {folder_.path(), folder_ / "file/trace.json"}) {
    test::run_workers(2, [&](Communicator& comm) {
      try {
        const Tracing tracing(comm, file.string(), 1);
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr(file.string()));
        ++refused;
      }
      EXPECT_EQ(comm.trace(), nullptr);
    });
  }
  EXPECT_EQ(refused, 4);
}

TEST_F(TracingTest, TellsOfAFullDiskOnAllWorkersAndLeavesWhatWasThere) {
  write_file(file_, "an older one");
  std::atomic<int> failed = 0;
  test::run_workers(2, [&](Communicator& comm) {
    Tracing tracing(comm, file_.string(), 1);
    { const TraceSpan span(comm.trace(), "work", "a"); }
    comm.barrier(Lane::statistics, "before the disk is full").wait();
    std::optional<FileSizeLimit> limit;
    if (comm.rank() == 0) limit.emplace(64);
    try {
      tracing.write();
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
      ++failed;
    }
  });
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(read_file(file_), "an older one");
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"trace.json"});
}

TEST(TracingLimit, IsBoundedOverAllWorkers) {
  EXPECT_EQ(Tracing::most_slices(1), 262'144U);
  EXPECT_EQ(Tracing::most_slices(4), 262'144U);
  EXPECT_EQ(Tracing::most_slices(64), 16'384U);
}

}  // namespace
}  // namespace lockstep
