#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "comm/single/single.h"
#include "comm/tree/exchange.h"
#include "comm/tree/fixed_tree.h"
#include "comm/tree/fold_along.h"
#include "tests/support/random_values.h"
#include "tests/support/reference_tree.h"

namespace lockstep::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ShardLayout, cuts_into_contiguous_parts_whose_first_have_one_more) {
  EXPECT_EQ(part(10, 4, 0), (Range{0, 3}));
  EXPECT_EQ(part(10, 4, 1), (Range{3, 6}));
  EXPECT_EQ(part(10, 4, 2), (Range{6, 8}));
  EXPECT_EQ(part(10, 4, 3), (Range{8, 10}));
  EXPECT_EQ(part(2, 4, 3), (Range{2, 2}));
}

TEST(ShardLayout, samples_and_present_shards_do_not_know_the_workers) {
  const ShardLayout layout(8, 3, 2);
  EXPECT_EQ(layout.block(), (Range{6, 8}));
  EXPECT_EQ(layout.samples(20, 3), (Range{9, 12}));
  EXPECT_EQ(layout.samples(20, 4), (Range{12, 14}));
  EXPECT_EQ(layout.present(20), 8);
  EXPECT_EQ(layout.present(5), 5);
}

TEST(ShardLayout, owner_is_who_has_the_shard_in_its_block) {
  for (int workers = 1; workers <= 9; ++workers) {
    const ShardLayout layout(7, workers, 0);
    for (std::int64_t shard = 0; shard < 7; ++shard) {
      EXPECT_TRUE(layout.block(layout.owner(shard)).contains({shard, shard + 1})) << workers << ", " << shard;
    }
  }
}

TEST(FixedTree, splits_at_the_largest_power_of_two_below_the_size) {
  EXPECT_EQ(split({0, 2}), 1);
  EXPECT_EQ(split({0, 3}), 2);
  EXPECT_EQ(split({0, 8}), 4);
  EXPECT_EQ(split({0, 9}), 8);
  EXPECT_EQ(split({5, 12}), 9);
}

TEST(FixedTree, maximal_subtrees_cover_the_block_in_order) {
  EXPECT_THAT(maximal_subtrees({0, 8}, {0, 8}), ElementsAre(Range{0, 8}));
  EXPECT_THAT(maximal_subtrees({0, 8}, {0, 3}), ElementsAre(Range{0, 2}, Range{2, 3}));
  EXPECT_THAT(maximal_subtrees({0, 8}, {3, 6}), ElementsAre(Range{3, 4}, Range{4, 6}));
  EXPECT_THAT(maximal_subtrees({0, 8}, {1, 7}),
              ElementsAre(Range{1, 2}, Range{2, 4}, Range{4, 6}, Range{6, 7}));
  EXPECT_THAT(maximal_subtrees({0, 5}, {4, 5}), ElementsAre(Range{4, 5}));
}

TEST(FixedTree, maximal_subtrees_of_nothing_are_none) {
  EXPECT_THAT(maximal_subtrees({0, 8}, {3, 3}), IsEmpty());
  EXPECT_THAT(maximal_subtrees({0, 8}, {8, 12}), IsEmpty());
  EXPECT_THAT(maximal_subtrees({4, 4}, {0, 8}), IsEmpty());
}

std::vector<float> folded(Range node, std::int64_t present, const std::vector<std::vector<float>>& leaves) {
  std::vector<float> out(leaves[0].size(), -7.0F);
  fold_sums(
      node, present, [&](std::int64_t shard) { return leaves[static_cast<std::size_t>(shard)].data(); },
      out.data(), out.size());
  return out;
}

TEST(FoldSums, takes_the_sum_in_the_order_of_the_tree) {
  Random random(1);
  for (int trial = 0; trial < 100; ++trial) {
    const std::int64_t shards = random.integer(1, 20);
    const std::int64_t begin = random.integer(0, shards - 1);
    const std::int64_t end = random.integer(begin + 1, shards);
    const std::int64_t present = random.integer(0, shards);
    const auto count = static_cast<std::size_t>(random.integer(1, 1'300));
    std::vector<std::vector<float>> leaves;
    for (std::int64_t shard = 0; shard < shards; ++shard) leaves.push_back(random.values<float>(count));
    const auto expected =
        reference_sum(begin, end, present, leaves).value_or(std::vector<float>(count, -7.0F));
    EXPECT_TRUE(same_bits(folded({begin, end}, present, leaves), expected))
        << begin << " to " << end << ", " << present << " present, " << count << " elements";
  }
}

TEST(FoldAlongTree, is_the_tree_without_recursion) {
  Random random(4);
  for (std::int64_t count = 1; count <= 70; ++count) {
    std::vector<std::vector<float>> leaves;
    for (std::int64_t leaf = 0; leaf < count; ++leaf) leaves.push_back(random.values<float>(1));
    const auto sum = fold_along_tree<float>(
        count, [&](std::int64_t leaf) { return leaves[static_cast<std::size_t>(leaf)][0]; },
        [](float& left, float right) { left += right; });
    EXPECT_TRUE(same_bits(std::vector{sum}, *reference_sum(0, count, count, leaves))) << count;
  }
}

TEST(FoldSums, an_absent_shard_does_not_turn_a_negative_zero_positive) {
  EXPECT_TRUE(std::signbit(folded({0, 4}, 1, {{-0.0F}, {0.0F}, {0.0F}, {0.0F}})[0]));
}

TEST(FoldSums, a_single_shard_may_be_folded_into_itself) {
  std::vector<float> leaf = {1.0F, 2.0F};
  fold_sums(
      {3, 4}, 4, [&](std::int64_t) { return leaf.data(); }, leaf.data(), leaf.size());
  EXPECT_THAT(leaf, ElementsAre(1.0F, 2.0F));
}

TEST(FoldSums, known_nodes_give_the_bits_of_their_leaves) {
  Random random(2);
  for (int trial = 0; trial < 50; ++trial) {
    const std::int64_t shards = random.integer(2, 20);
    const std::int64_t present = random.integer(1, shards);
    std::vector<std::vector<float>> leaves;
    for (std::int64_t shard = 0; shard < shards; ++shard) leaves.push_back(random.values<float>(700));
    std::vector<std::vector<float>> values;
    std::vector<Part<const float>> parts;
    const std::int64_t cut = random.integer(0, shards);
    for (const Range block : {Range{0, cut}, Range{cut, shards}}) {
      for (const Range node : maximal_subtrees({0, shards}, block)) {
        if (node.begin >= present) continue;
        values.push_back(folded(node, present, leaves));
        parts.push_back({present_part(node, present), values.back().data()});
      }
    }
    const Range tree = present_part({0, shards}, present);
    const auto into = static_cast<std::size_t>(random.integer(0, std::ssize(values) - 1));
    fold_sums(tree, parts, values[into].data(), 700);
    EXPECT_TRUE(same_bits(values[into], folded({0, shards}, present, leaves))) << "into part " << into;
  }
}

TEST(FoldSums, parts_that_are_no_nodes_are_a_bug) {
  const std::vector<float> value(4);
  std::vector<float> out(4);
  const std::vector<Part<const float>> across = {{{0, 1}, value.data()}, {{1, 3}, value.data()}};
  EXPECT_THROW(fold_sums({0, 3}, across, out.data(), out.size()), std::logic_error);
}

// Mean and M2 of each channel over all values of some shards, by two passes.
struct Moments {
  std::vector<double> values;
  Moments(const std::vector<std::vector<double>>& samples, std::size_t channels, Range rows)
      : values(2 * channels) {
    const auto count = static_cast<double>(rows.size());
    for (std::size_t channel = 0; channel < channels; ++channel) {
      double& mean = values[channel];
      double& m2 = values[channels + channel];
      for (auto row = rows.begin; row < rows.end; ++row) {
        mean += samples[static_cast<std::size_t>(row)][channel] / count;
      }
      for (auto row = rows.begin; row < rows.end; ++row) {
        m2 += std::pow(samples[static_cast<std::size_t>(row)][channel] - mean, 2);
      }
    }
  }
};

TEST(Moments, merge_to_what_two_passes_over_all_values_give) {
  constexpr std::size_t channels = 3;
  constexpr std::int64_t batch = 37;
  Random random(3);
  std::vector<std::vector<double>> samples;
  for (std::int64_t row = 0; row < batch; ++row) {
    // A mean of 1e6 with deviations of 1: E[x²] − E[x]² would keep four digits of the variance.
    const auto deviation = [&] { return static_cast<double>(random.integer(-1'000, 1'000)) / 1'000; };
    samples.push_back({1e6 + deviation(), -1e6 + deviation(), deviation()});
  }
  const ShardLayout layout(8, 1, 0);
  std::vector<double> leaves;
  for (std::int64_t shard = 0; shard < 8; ++shard) {
    const Moments leaf(samples, channels, layout.samples(batch, shard));
    leaves.insert(leaves.end(), leaf.values.begin(), leaf.values.end());
  }
  const auto count = [&](Range node) {
    return layout.samples(batch, node.end - 1).end - layout.samples(batch, node.begin).begin;
  };
  std::vector<double> merged(2 * channels);
  TreeExchange(layout, 8).run(*make_single(), "moments", 8, 2 * channels, leaves, moments_of(channels, count),
                              merged);

  const Moments expected(samples, channels, {0, batch});
  for (std::size_t i = 0; i < channels; ++i) {
    EXPECT_NEAR(merged[i], expected.values[i], 1e-9);
    // The last bit of a mean of 1e6 is worth 1e-10.
    EXPECT_NEAR(merged[channels + i] / expected.values[channels + i], 1, 1e-9);
  }
}

TEST(TreeExchange, groups_are_consecutive_and_the_last_may_be_shorter) {
  const TreeExchange exchange(ShardLayout(8, 3, 1), 3);
  EXPECT_EQ(exchange.groups(), 3);
  EXPECT_EQ(exchange.group(0), (Range{0, 3}));
  EXPECT_EQ(exchange.group(2), (Range{6, 8}));
  EXPECT_EQ(exchange.own_groups(), (Range{1, 2}));
}

TEST(TreeExchange, needs_an_exchange_only_where_a_group_spans_workers) {
  EXPECT_TRUE(TreeExchange(ShardLayout(8, 2, 0), 8).needs_exchange());
  EXPECT_FALSE(TreeExchange(ShardLayout(8, 2, 0), 4).needs_exchange());
  EXPECT_TRUE(TreeExchange(ShardLayout(8, 2, 0), 3).needs_exchange());
  EXPECT_FALSE(TreeExchange(ShardLayout(8, 3, 0), 1).needs_exchange());
  EXPECT_FALSE(TreeExchange(ShardLayout(8, 1, 0), 8).needs_exchange());
}

TEST(TreeExchange, refuses_groups_and_sizes_that_do_not_fit) {
  const ShardLayout layout(4, 1, 0);
  EXPECT_THROW(TreeExchange(layout, 0), std::logic_error);
  EXPECT_THROW(TreeExchange(layout, 5), std::logic_error);
  std::vector<double> leaves(8);
  std::vector<double> results(2);
  const auto comm = make_single();
  EXPECT_THROW(TreeExchange(layout, 2).run(*comm, "odd", 4, 2, leaves, sum_of(2), results), std::logic_error);
  EXPECT_THROW(TreeExchange(ShardLayout(4, 2, 0), 4).run(*comm, "odd", 4, 2, leaves, sum_of(2), results),
               std::logic_error);
}

// Stands for the first of several workers: notes how much each brings to an all-gather, receives zeros.
class Recorder final : public Communicator {
 public:
  explicit Recorder(int size) : Communicator(0, size) {}
  std::string_view transport() const override { return "recorder"; }
  [[noreturn]] void abort(ExitCode) override { std::abort(); }

  std::vector<std::vector<std::size_t>> gathers;

 protected:
  std::unique_ptr<Operation> start_all_gather(const CallSite&, std::span<const std::byte>,
                                              std::span<std::byte>,
                                              std::vector<std::size_t> byte_counts) override {
    gathers.push_back(std::move(byte_counts));
    return nullptr;
  }
  std::unique_ptr<Operation> start_broadcast(const CallSite&, std::span<std::byte>, int) override {
    throw std::logic_error("not expected");
  }
  std::unique_ptr<Operation> start_all_to_all(const CallSite&, std::span<const std::byte>,
                                              std::vector<std::size_t>, std::span<std::byte>,
                                              std::vector<std::size_t>) override {
    throw std::logic_error("not expected");
  }
  std::unique_ptr<Operation> start_exchange(const CallSite&, std::span<const Outgoing<std::byte>>,
                                            std::span<const Incoming<std::byte>>) override {
    throw std::logic_error("not expected");
  }
  std::unique_ptr<Operation> start_barrier(const CallSite&) override {
    throw std::logic_error("not expected");
  }
};

std::vector<std::vector<std::size_t>> doubles_sent(std::int64_t shards, int workers, std::int64_t group,
                                                   std::int64_t present, bool all_groups) {
  Recorder comm(workers);
  const ShardLayout layout(shards, workers, 0);
  TreeExchange exchange(layout, group);
  std::vector<double> leaves(static_cast<std::size_t>(layout.block().size()));
  std::vector<double> results(
      static_cast<std::size_t>(all_groups ? exchange.groups() : exchange.own_groups().size()));
  exchange.run(comm, "values", present, 1, leaves, sum_of(1), results, all_groups);
  for (auto& counts : comm.gathers) {
    for (auto& count : counts) count /= sizeof(double);
  }
  return comm.gathers;
}

TEST(TreeExchange, sends_one_all_gather_of_maximal_subtrees) {
  EXPECT_THAT(doubles_sent(8, 2, 8, 8, false), ElementsAre(ElementsAre(1, 1)));
  EXPECT_THAT(doubles_sent(8, 3, 8, 8, false), ElementsAre(ElementsAre(2, 2, 1)));
}

TEST(TreeExchange, sends_nothing_of_groups_that_one_worker_has) {
  EXPECT_THAT(doubles_sent(8, 2, 4, 8, false), IsEmpty());
  EXPECT_THAT(doubles_sent(8, 2, 1, 8, false), IsEmpty());
  // [0, 3) is the first worker's; of [3, 6) each has a part, 1 and 2 shards of one node each.
  EXPECT_THAT(doubles_sent(8, 2, 3, 8, false), ElementsAre(ElementsAre(1, 2)));
}

TEST(TreeExchange, sends_every_group_where_all_are_wanted) {
  EXPECT_THAT(doubles_sent(8, 2, 4, 8, true), ElementsAre(ElementsAre(1, 1)));
  EXPECT_THAT(doubles_sent(8, 2, 1, 8, true), ElementsAre(ElementsAre(4, 4)));
  EXPECT_THAT(doubles_sent(8, 1, 1, 8, true), IsEmpty());
}

TEST(TreeExchange, sends_no_absent_node) {
  EXPECT_THAT(doubles_sent(8, 4, 8, 3, false), ElementsAre(ElementsAre(1, 1, 0, 0)));
}

}  // namespace
}  // namespace lockstep::test
