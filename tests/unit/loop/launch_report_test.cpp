#include "trainer/loop/launch_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const Links open_mpi{"shared memory (vader)", "TCP", "Open MPI v4.1.4, pml ob1"};

WorkerFacts worker(const std::string& host, std::vector<int> cores, const Links& links = open_mpi) {
  WorkerFacts facts;
  facts.placement = {.host = host, .machine = host, .cores = std::move(cores), .machine_cores = 4};
  facts.links = links;
  return facts;
}

LaunchReport report(const std::vector<WorkerFacts>& workers, std::int64_t shards = 8) {
  return launch_report(workers, {.global = 256, .shards = shards});
}

TEST(LaunchReport, OfOneWorkerIsWhereItRuns) {
  EXPECT_THAT(report({worker("a", {0, 1, 2, 3})}).lines,
              ElementsAre("host a: rank 0 not bound, on cores 0-3"));
}

TEST(LaunchReport, OfOneHost) {
  const auto told = report({worker("a", {0}), worker("a", {2})});
  EXPECT_THAT(told.lines,
              ElementsAre("2 workers on 1 host", "host a: rank 0 bound to core 0; rank 1 bound to core 2",
                          "messages: shared memory (vader) within a host; Open MPI v4.1.4, pml ob1",
                          "8 shards on 2 workers divide evenly"));
  EXPECT_THAT(told.warnings, IsEmpty());
}

TEST(LaunchReport, OfSeveralHosts) {
  const auto told = report({worker("a", {0, 1, 2, 3}), worker("b", {0, 1}), worker("a", {0, 1, 2, 3})}, 3);
  EXPECT_THAT(
      told.lines,
      ElementsAre(
          "3 workers on 2 hosts", "host a: ranks 0,2 not bound, on cores 0-3",
          "host b: rank 1 bound to cores 0-1",
          "messages: shared memory (vader) within a host, TCP between hosts; Open MPI v4.1.4, pml ob1",
          "3 shards on 3 workers divide evenly"));
}

TEST(LaunchReport, TellsOnlyOfWaysThatMessagesTake) {
  EXPECT_THAT(report({worker("a", {0}), worker("b", {0})}).lines,
              Contains("messages: TCP between hosts; Open MPI v4.1.4, pml ob1"));
}

TEST(LaunchReport, TellsWhereTheTransportDoesNot) {
  const Links silent{"", "", "Open MPI v4.1.4, pml ucx"};
  EXPECT_THAT(report({worker("a", {0}, silent), worker("b", {0}, silent)}).lines,
              Contains("messages: the transport does not tell how they travel; Open MPI v4.1.4, pml ucx"));
}

TEST(LaunchReport, TellsWhereMessagesOfSomeTravelOtherwise) {
  const Links tcp{"TCP", "TCP", "Open MPI v4.1.4, pml ob1"};
  const auto told = report({worker("a", {0}), worker("a", {1}, tcp), worker("a", {2})});
  EXPECT_THAT(
      told.lines,
      Contains("messages of ranks 0,2: shared memory (vader) within a host; Open MPI v4.1.4, pml ob1"));
  EXPECT_THAT(told.lines, Contains("messages of rank 1: TCP within a host; Open MPI v4.1.4, pml ob1"));
}

TEST(LaunchReport, SumsUpManyBindings) {
  std::vector<WorkerFacts> many;
  many.reserve(16);
  for (int rank = 0; rank < 16; ++rank) many.push_back(worker("a", {2 * rank}));
  for (WorkerFacts& one : many) one.placement.machine_cores = 64;
  EXPECT_THAT(
      report(many, 16).lines,
      Contains("host a: ranks 0-15 bound in 16 ways to 1 core each, together 0,2,4,6,8,10,12,14,16,18,20,22,"
               "24,26,28,30"));
  many[3].placement.cores = {6, 7};
  EXPECT_THAT(report(many, 16).lines, Contains(HasSubstr("in 16 ways to 1 to 2 cores each")));
}

TEST(LaunchReport, WarnsOfSharedCores) {
  const auto told = report({worker("a", {1}), worker("a", {1})});
  EXPECT_THAT(told.warnings, ElementsAre(HasSubstr("ranks 0-1 on a share core 1 with 2 threads")));
  EXPECT_THAT(told.warnings, ElementsAre(HasSubstr("--bind-to core")));
}

TEST(LaunchReport, WarnsOfSharedCoresUnderSeveralNames) {
  std::vector<WorkerFacts> workers{worker("a", {1}), worker("b", {1})};
  for (WorkerFacts& one : workers) one.placement.machine = "both";
  EXPECT_THAT(report(workers).warnings, ElementsAre(HasSubstr("rank 0 on a and rank 1 on b share core 1")));
}

TEST(LaunchReport, WarnsOfMoreThreadsThanCores) {
  std::vector<WorkerFacts> workers{worker("a", {0, 1, 2, 3})};
  workers[0].placement.threads = 5;
  EXPECT_THAT(report(workers).warnings, ElementsAre(HasSubstr("rank 0 on a has cores 0-3 with 5 threads")));
  EXPECT_THAT(report(workers).warnings, ElementsAre(HasSubstr("Start fewer")));
}

TEST(LaunchReport, ShowsNoControlCharactersOfAHostsName) {
  EXPECT_THAT(report({worker("a\x1b[2J", {0})}).lines, ElementsAre(Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace lockstep
