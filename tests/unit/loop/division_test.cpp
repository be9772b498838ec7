#include "trainer/loop/division.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/tree/shard_layout.h"

namespace lockstep {
namespace {

std::string told(std::int64_t shards, std::vector<int> threads, std::int64_t batch = 256) {
  return Division(shards, std::move(threads)).in_words(batch);
}

std::vector<int> workers(int count, int threads = 1) {
  std::vector<int> all(static_cast<std::size_t>(count), threads);
  return all;
}

TEST(Division, RoundsAndBusyAreThoseOfTheBusiestThread) {
  for (const std::int64_t shards : {1, 2, 7, 8, 12, 64}) {
    for (int count = 1; count <= shards; ++count) {
      for (const int threads : {1, 2, 3, 5}) {
        std::int64_t most = 0;
        for (int rank = 0; rank < count; ++rank) {
          for (int thread = 0; thread < threads; ++thread) {
            most = std::max(most, part(part(shards, count, rank).size(), threads, thread).size());
          }
        }
        const Division division(shards, workers(count, threads));
        EXPECT_EQ(division.rounds(), most);
        EXPECT_DOUBLE_EQ(division.busy() * static_cast<double>(most) * count * threads,
                         static_cast<double>(shards));
      }
    }
  }
}

TEST(Division, SaysWhatIsEven) {
  EXPECT_EQ(told(8, workers(4)), "8 shards on 4 workers divide evenly");
  EXPECT_EQ(told(8, workers(1, 2)), "8 shards on 1 worker with 2 threads divide evenly");
  EXPECT_EQ(told(1, workers(1)), "1 shard on 1 worker divide evenly");
}

TEST(Division, SaysHowBusyTheWorkersAreAndWhatWouldBeBetter) {
  EXPECT_EQ(
      told(8, workers(7)),
      "8 shards on 7 workers keep them 57 % busy: 4 workers would be as quick; 8 workers would take 50 % of "
      "the time; another run could have batch.shards: 14");
  EXPECT_EQ(
      told(8, workers(3)),
      "8 shards on 3 workers keep them 89 % busy: 4 workers would take 67 % of the time; another run could "
      "have batch.shards: 9");
}

TEST(Division, CountsThreads) {
  EXPECT_EQ(
      told(8, workers(2, 3)),
      "8 shards on 2 workers with 6 threads keep them 67 % busy: 2 threads a worker would be as quick; 3 "
      "workers would take 50 % of the time; another run could have batch.shards: 12");
  EXPECT_EQ(
      told(8, workers(8, 4), 8),
      "8 shards on 8 workers with 32 threads keep them 25 % busy: 1 thread a worker would be as quick; 2 "
      "workers would be as quick");
}

TEST(Division, ProposesNoShardsThatCouldNotBe) {
  EXPECT_THAT(told(8, workers(7), 14), testing::HasSubstr("batch.shards: 14"));
  EXPECT_THAT(told(8, workers(7), 13), testing::Not(testing::HasSubstr("batch.shards")));
  EXPECT_THAT(told(4096, workers(4095), 1'000'000), testing::Not(testing::HasSubstr("batch.shards")));
}

TEST(Division, IsNeverCalledEvenWhereItIsNot) {
  EXPECT_THAT(told(4095, workers(64)), testing::HasSubstr("99 % busy"));
}

TEST(Division, NamesUnequalThreads) {
  EXPECT_EQ(
      told(8, {1, 2}),
      "8 shards on 2 workers with 3 threads keep them 67 % busy: give all workers equally many threads");
}

}  // namespace
}  // namespace lockstep
