#include "trainer/loop/agree.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <mutex>
#include <system_error>

#include "comm/threads/threads.h"
#include "tests/unit/loop/outcomes.h"

namespace lockstep {
namespace {

using test::outcomes;
using testing::HasSubstr;

TEST(Agree, PassesWhereNobodyFails) {
  for (const int size : {1, 2, 3, 4}) {
    EXPECT_THAT(outcomes(size, [](Communicator& comm) { agree(comm, "work", [] {}); }), testing::Each(""));
  }
}

TEST(Agree, GivesAllWorkersTheErrorOfTheOneThatFailed) {
  const auto told = outcomes(3, [](Communicator& comm) {
    agree(comm, "work", [&] {
      if (comm.rank() == 1) throw DataError("a.idx is missing");
    });
  });
  for (const std::string& text : told) {
    EXPECT_EQ(text, fmt::format("3 rank 1 on {}: a.idx is missing", host_name()));
  }
}

TEST(Agree, NamesNoRankWhereAllFailAlike) {
  const auto told =
      outcomes(2, [](Communicator& comm) { agree(comm, "work", [] { throw UsageError("no such key"); }); });
  EXPECT_THAT(told, testing::Each("2 no such key"));
}

TEST(Agree, TellsTheLowestRanksErrorWhereSeveralDiffer) {
  const auto told = outcomes(3, [](Communicator& comm) {
    agree(comm, "work", [&] {
      if (comm.rank() == 1) throw DataError("first");
      if (comm.rank() == 2) throw UsageError("second");
    });
  });
  EXPECT_THAT(told,
              testing::Each(testing::AllOf(testing::StartsWith("3 rank 1"), testing::EndsWith("first"))));
}

TEST(Agree, CallsWhatTheMachineLacksNoBug) {
  const auto told = outcomes(2, [](Communicator& comm) {
    agree(comm, "work", [&] {
      if (comm.rank() == 1) throw std::system_error(EAGAIN, std::generic_category());
    });
  });
  EXPECT_THAT(told,
              testing::Each(testing::AllOf(testing::StartsWith("2 rank 1"), HasSubstr("fewer threads"))));
}

TEST(Agree, LeavesTheTimeoutAsItWas) {
  run_threads(2, [](Communicator& comm) {
    comm.set_timeout(std::chrono::milliseconds(5000));
    EXPECT_THROW(agree(comm, "work", [] { throw DataError("gone"); }), DataError);
    EXPECT_EQ(comm.timeout(), std::chrono::milliseconds(5000));
  });
}

TEST(Largest, IsTheSameEverywhere) {
  run_threads(4, [](Communicator& comm) { EXPECT_EQ(largest(comm, "rank", comm.rank()), 3); });
}

TEST(FromRank0, OverridesWhatOthersThink) {
  run_threads(3, [](Communicator& comm) { EXPECT_EQ(from_rank_0(comm, "choice", 7 + comm.rank()), 7); });
}

TEST(Differing, IsEmptyWhereAllBringTheSame) {
  run_threads(3, [](Communicator& comm) { EXPECT_EQ(differing(comm, "features", "avx2"), ""); });
}

TEST(Differing, ListsRank0AndThoseUnlikeIt) {
  run_threads(3, [](Communicator& comm) {
    const std::string lines = differing(comm, "features", comm.rank() == 2 ? "avx512f" : "avx2");
    EXPECT_THAT(lines, HasSubstr(fmt::format("rank 0 on {}: avx2", host_name())));
    EXPECT_THAT(lines, HasSubstr(fmt::format("rank 2 on {}: avx512f", host_name())));
    EXPECT_THAT(lines, testing::Not(HasSubstr("rank 1")));
  });
}

TEST(WorkersOnHost, CountsTheThreadsOfAProcess) {
  run_threads(3, [](Communicator& comm) { EXPECT_EQ(workers_on_host(comm), 3); });
}

}  // namespace
}  // namespace lockstep
