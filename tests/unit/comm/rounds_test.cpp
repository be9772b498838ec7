#include "comm/tree/rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "comm/gradients/reducer.h"
#include "comm/tree/exchange.h"
#include "tests/support/random_values.h"
#include "tests/support/reference_tree.h"
#include "tests/support/run_workers.h"

namespace lockstep::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<int> sizes(std::int64_t shards, int workers, int most) {
  std::vector<int> result;
  for (const Round& round : plan_rounds(ShardLayout(shards, workers, workers - 1), most)) {
    result.push_back(static_cast<int>(round.members.size()));
  }
  return result;
}

TEST(Rounds, are_powers_of_two_of_like_size_and_an_odd_factor_comes_last) {
  EXPECT_THAT(sizes(1024, 1024, 32), ElementsAre(32, 32));
  EXPECT_THAT(sizes(1024, 256, 4), ElementsAre(4, 4, 4, 4));
  EXPECT_THAT(sizes(128, 128, 32), ElementsAre(16, 8));
  EXPECT_THAT(sizes(96, 48, 8), ElementsAre(4, 4, 3));
}

TEST(Rounds, are_one_where_all_may_meet_at_once) {
  EXPECT_THAT(sizes(8, 8, 8), ElementsAre(8));
  EXPECT_THAT(sizes(4, 1, 8), ElementsAre(1));
}

TEST(Rounds, are_one_where_groups_of_workers_are_no_nodes) {
  EXPECT_THAT(sizes(48, 16, 4), ElementsAre(16));  // blocks of three shards
  EXPECT_THAT(sizes(20, 16, 4), ElementsAre(16));  // blocks of one and of two
  EXPECT_THAT(sizes(15, 15, 4), ElementsAre(15));
  EXPECT_THAT(sizes(16, 16, 1), ElementsAre(16));
}

TEST(Rounds, meet_neighbours_first_and_then_the_same_place_of_other_groups) {
  const std::vector<Round> rounds = plan_rounds(ShardLayout(16, 8, 6), 4);
  ASSERT_EQ(rounds.size(), 2U);
  const auto ranks = [](const Round& round) {
    std::vector<int> result;
    result.reserve(round.members.size());
    for (const auto& member : round.members) result.push_back(member.rank);
    return result;
  };
  EXPECT_THAT(ranks(rounds[0]), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(rounds[0].self, 2U);
  EXPECT_EQ(rounds[0].whole, (Range{8, 16}));
  EXPECT_THAT(ranks(rounds[1]), ElementsAre(2, 6));
  EXPECT_EQ(rounds[1].self, 1U);
  EXPECT_EQ(rounds[1].whole, (Range{0, 16}));
  const auto nodes = [&](std::size_t member, std::int64_t present) {
    std::vector<Range> result;
    rounds[1].each_node(member, present, [&](Range node) { result.push_back(node); });
    return result;
  };
  EXPECT_THAT(nodes(0, 16), ElementsAre(Range{0, 8}));
  EXPECT_THAT(nodes(1, 11), ElementsAre(Range{8, 11}));
  EXPECT_THAT(nodes(1, 8), IsEmpty());
  EXPECT_EQ(rounds[1].node_count(1, 11), 1U);
  EXPECT_EQ(rounds[1].node_count(1, 8), 0U);
}

// As many workers as meet in three rounds, of which the last ones may have no samples.
TEST(Rounds, give_the_bits_of_all_at_once) {
  constexpr int workers = 24;
  for (const std::int64_t present : {1, 5, 24, 47, 48}) {
    run_workers(workers, [&](Communicator& comm) {
      const ShardLayout layout(2 * workers, workers, comm.rank());
      Random random(40 + static_cast<std::uint64_t>(present));
      std::vector<std::vector<double>> leaves;
      leaves.reserve(2 * std::size_t{workers});
      for (int shard = 0; shard < 2 * workers; ++shard) leaves.push_back(random.values<double>(3));
      std::vector<std::vector<double>> results;
      for (const int most_at_once : {workers, 4}) {
        std::vector<double> own;
        for (std::int64_t shard = layout.block().begin; shard < layout.block().end; ++shard) {
          own.insert(own.end(), leaves[static_cast<std::size_t>(shard)].begin(),
                     leaves[static_cast<std::size_t>(shard)].end());
        }
        results.emplace_back(3);
        TreeExchange(layout, 2 * workers, most_at_once)
            .run(comm, "values", present, 3, own, sum_of(3), results.back());
      }
      EXPECT_TRUE(same_bits(results[0], results[1])) << present << " present, rank " << comm.rank();
    });
  }
}

}  // namespace
}  // namespace lockstep::test
