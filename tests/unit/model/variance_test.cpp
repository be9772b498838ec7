// Variance without cancellation, and counts of 64 bits: what shards measure, merged along the tree by thread
// workers, against two fp64 passes over the same fp32 values.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "comm/tree/exchange.h"
#include "layers/model/step_statistics.h"
#include "layers/ops/norm.h"
#include "tests/support/run_workers.h"
#include "tests/unit/model/contract.h"

namespace lockstep::testing {
namespace {

// A channel each, of different deviations and signs.
constexpr std::array mean_per_deviation{0.0, 1.0, 1e2, 1e3, 1e4};
constexpr std::array deviations{1.0, 0.01, -3.0, 100.0, -1e-3};
constexpr std::size_t channels = mean_per_deviation.size();
constexpr std::size_t width = 2 * channels;  // means, then M2
constexpr SampleShape image{.height = 2, .width = 3, .channels = std::ssize(deviations)};

Data far_from_zero(std::int64_t samples) {
  Data data = random_data(image, 3, samples, static_cast<std::uint64_t>(samples));
  for (std::size_t i = 0; i < data.images.size(); ++i) {
    const std::size_t c = i % channels;
    const double unit = (static_cast<double>(data.images[i]) - 0.5) / std::sqrt(4.0 / 3);  // of deviation 1
    data.images[i] = static_cast<float>(deviations[c] * (mean_per_deviation[c] + unit));
  }
  return data;
}

// A channel's values of the samples of a group.
std::vector<float> channel_of(const Data& data, Group group, std::size_t channel) {
  std::vector<float> values;
  for (std::int64_t row = group.begin * image.pixels(); row < group.end * image.pixels(); ++row) {
    values.push_back(data.images[static_cast<std::size_t>(row) * channels + channel]);
  }
  return values;
}

struct Moments {
  double mean = 0, m2 = 0;
};

Moments two_passes(std::span<const float> values) {
  Moments moments;
  for (const float value : values) moments.mean += static_cast<double>(value);
  moments.mean /= static_cast<double>(values.size());
  for (const float value : values) {
    const double deviation = static_cast<double>(value) - moments.mean;
    moments.m2 += deviation * deviation;
  }
  return moments;
}

// E[x²] − E[x]² of fp32 products, in sums of this type.
template <class Sum>
double squares_minus_square(std::span<const float> values) {
  Sum sum = 0;
  Sum squares = 0;
  for (const float value : values) {
    sum += static_cast<Sum>(value);
    squares += static_cast<Sum>(value * value);
  }
  const auto count = static_cast<Sum>(values.size());
  return static_cast<double>(squares / count - sum / count * (sum / count));
}

// Means and M2 of this worker's groups, as a step comes by them.
std::vector<double> own_moments(Communicator& comm, const Data& data, std::int64_t shards,
                                std::int64_t together) {
  const ShardLayout layout(shards, comm.size(), comm.rank());
  const WorkerBatch batch(layout, image, data);
  std::vector<double> leaves(batch.input().shards.size() * width);
  for (std::size_t shard = 0; shard < batch.input().shards.size(); ++shard) {
    const ShardInput& it = batch.input().shards[shard];
    if (it.samples == 0) continue;
    norm::moments(it.images, it.samples * image.pixels(), channels, &leaves[shard * width]);
  }
  const auto count = [&](Range node) {
    const std::int64_t begin = layout.samples(data.samples(), node.begin).begin;
    return (layout.samples(data.samples(), node.end - 1).end - begin) * image.pixels();
  };
  TreeExchange exchange(layout, together);
  std::vector<double> moments(static_cast<std::size_t>(exchange.own_groups().size()) * width);
  exchange.run(comm, "moments", layout.present(data.samples()), width, leaves, moments_of(channels, count),
               moments);
  return moments;
}

// Means and M2 of every group that has a sample: the same bits from 1, 2, 3 and 4 workers.
std::vector<double> merged_moments(const Data& data, std::int64_t shards, std::int64_t together) {
  std::vector<double> merged;
  for (int workers = 1; workers <= std::min<std::int64_t>(4, shards); ++workers) {
    test::run_workers(workers, [&](Communicator& comm) {
      const std::vector<double> own = own_moments(comm, data, shards, together);
      if (workers == 1) merged = own;
      const ShardLayout layout(shards, workers, comm.rank());
      const auto offset = static_cast<std::size_t>(TreeExchange(layout, together).own_groups().begin) * width;
      EXPECT_TRUE(std::ranges::equal(own, std::span(merged).subspan(offset, own.size())))
          << "rank " << comm.rank() << " of " << workers;
    });
  }
  return merged;
}

// The largest relative error so far, a channel each.
struct Worst {
  std::array<double, channels> errors{};
  void note(std::size_t channel, double value, double right) {
    errors[channel] = std::max(errors[channel], std::abs(value / right - 1));
  }
};

TEST(Variance, IsRightForAnyMeanAndSplitWhereSquaresMinusSquareIsNot) {
  Worst merged;
  Worst squares_fp32;
  Worst squares_fp64;  // sums of fp32 products
  for (const std::int64_t samples : {2, 3, 7, 8, 24, 31, 211}) {
    const Data data = far_from_zero(samples);
    for (std::size_t c = 0; c < channels; ++c) {
      const std::vector<float> values = channel_of(data, {0, samples}, c);
      const double right = two_passes(values).m2 / static_cast<double>(values.size());
      squares_fp32.note(c, squares_minus_square<float>(values), right);
      squares_fp64.note(c, squares_minus_square<double>(values), right);
    }
    for (std::int64_t shards = 1; shards <= 9; ++shards) {
      for (const std::int64_t together :
           std::set<std::int64_t>{1, 2, std::min<std::int64_t>(3, shards), shards}) {
        if (together > shards) continue;
        SCOPED_TRACE(fmt::format("{} samples in {} shards, {} together", samples, shards, together));
        const std::vector<double> moments = merged_moments(data, shards, together);
        const std::vector<Group> groups = groups_of(samples, shards, together);
        for (std::size_t group = 0; group < groups.size(); ++group) {
          for (std::size_t c = 0; c < channels; ++c) {
            const Moments right = two_passes(channel_of(data, groups[group], c));
            merged.note(c, moments[group * width + channels + c], right.m2);
            EXPECT_NEAR(moments[group * width + c], right.mean, 1e-6 * std::abs(deviations[c])) << c;
          }
        }
      }
    }
  }

  fmt::print("worst relative error of the variance\n{:>14} {:>10} {:>16} {:>20}\n", "mean/deviation",
             "merged", "E[x²]−E[x]² fp32", "the same, sums fp64");
  for (std::size_t c = 0; c < channels; ++c) {
    fmt::print("{:>14} {:>10.1e} {:>16.1e} {:>20.1e}\n", mean_per_deviation[c], merged.errors[c],
               squares_fp32.errors[c], squares_fp64.errors[c]);
    EXPECT_LE(merged.errors[c], 1e-5) << "mean " << mean_per_deviation[c] << " deviations";
  }
  EXPECT_GT(squares_fp32.errors[2], 1e-4);
  EXPECT_GT(squares_fp32.errors[4], 0.1);
  EXPECT_GT(squares_fp64.errors[4], 0.1);
}

// Through a whole model, whose first layer sees the images themselves.
TEST(Variance, OfRunningStatisticsIsRightForAnyMeanAndGroup) {
  ModelOptions options = contract_network();
  options.input = image;
  options.spec.layers = {{"bn", BatchNormSpec{}}, {"flatten", FlattenSpec{}}, {"fc", LinearSpec{.out = 3}}};
  options.running_statistics = {{.momentum = 1}};
  for (const std::int64_t together : {8, 3, 1}) {
    for (const std::int64_t samples : {5, 13, 24}) {
      options.statistics_group = together;
      const Data data = far_from_zero(samples);
      const Tensors state = numbers_of(train_on_all(options, {data}).outcome.state);
      for (std::size_t c = 0; c < channels; ++c) {
        SCOPED_TRACE(fmt::format("channel {}, {} samples, {} together", c, samples, together));
        Moments right;
        for (const Group& group : groups_of(samples, 8, together)) {
          const std::vector<float> values = channel_of(data, group, c);
          const double weight = static_cast<double>(group.end - group.begin) / static_cast<double>(samples);
          const Moments moments = two_passes(values);
          right.mean += weight * moments.mean;
          right.m2 += weight * moments.m2 / static_cast<double>(values.size() - 1);
        }
        EXPECT_NEAR(state.at("bn.running_var")[c], right.m2, 1e-5 * right.m2);
        EXPECT_FLOAT_EQ(static_cast<float>(state.at("bn.running_mean")[c]), static_cast<float>(right.mean));
      }
    }
  }
}

// 2^24 + 1 is the first count that a float cannot hold. What comes behind lies elsewhere, so it cannot be
// missed.
TEST(Counts, OfMoreThan2To24ValuesInAShardAreRight) {
  constexpr std::int64_t rows = (1 << 24) + (1 << 22) + 3;
  std::vector<float> values(rows);
  const Random random(3, "values");
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const auto bits = random.bits(i);
    for (std::size_t j = 0; j < std::min<std::size_t>(4, values.size() - i); ++j) {
      values[i + j] = (i < (1 << 24) ? 1000.0F : 1003.0F) + Random::uniform(bits[j]);
    }
  }
  const Moments right = two_passes(values);
  std::array<double, 2> got{};
  norm::moments(values.data(), rows, 1, got.data());
  EXPECT_NEAR(got[0], right.mean, 1e-8);
  EXPECT_NEAR(got[1], right.m2, 1e-6 * right.m2);
}

// Two nodes, all values of one are a, all of the other b: M2 = m·n / (m + n) · (a − b)².
TEST(Counts, OfMoreThan32BitsMergeRight) {
  constexpr std::int64_t one = 1;
  const std::vector<std::int64_t> counts{
      1, (one << 24) + 1, (one << 31) + 1, (one << 32) + 1, (one << 33) + 5, one << 40};
  for (const std::int64_t left : counts) {
    for (const std::int64_t right : counts) {
      const Combine merge = moments_of(1, [&](Range node) { return node.begin == 0 ? left : right; });
      std::vector<double> moments{3.0, 0.0};
      const std::vector<double> other{3.5, 0.0};
      merge({0, 1}, moments.data(), {1, 2}, other.data());
      const auto m = static_cast<long double>(left);
      const auto n = static_cast<long double>(right);
      const auto mean = static_cast<double>((3.0L * m + 3.5L * n) / (m + n));
      const auto m2 = static_cast<double>(m / (m + n) * n * 0.25L);
      EXPECT_NEAR(moments[0], mean, 1e-15 * mean) << left << " and " << right;
      EXPECT_NEAR(moments[1], m2, 1e-14 * m2) << left << " and " << right;
    }
  }
}

// Images of 2^32 pixels, whose moments are made up: a shard's mean is its number, its variance 2.
TEST(Counts, OfMoreThan32BitsAreRightInEveryGroupsStatistics) {
  constexpr std::int64_t side = 1 << 16;
  const BatchNorm layer("bn", {.height = side, .width = side, .channels = 1}, {.affine = false});
  constexpr double pixels = static_cast<double>(side) * side;
  const auto by_group = [&](Communicator& comm, std::int64_t together) {
    const ShardLayout layout(4, comm.size(), comm.rank());
    StepStatistics statistics({&layer}, layout, together, 1e-5);
    statistics.begin(4);
    for (std::int64_t shard = layout.block().begin; shard < layout.block().end; ++shard) {
      const auto leaf = statistics.leaf(0, static_cast<std::size_t>(shard - layout.block().begin));
      leaf[0] = static_cast<double>(shard);
      leaf[1] = 2 * pixels;
    }
    statistics.meet_moments(comm, 0, nullptr, nullptr);
    EXPECT_EQ(statistics.group_sums(0, 0).count, together * side * side);

    RunningBuffers running({&layer}, {{.momentum = 1}});
    EXPECT_EQ(statistics.update(comm, running), "");
    // Means 0, 1, 2, 3 deviate by 1.25 in a group of all, by 0.25 in groups of two.
    const double variance = 2 + (together == 4 ? 1.25 : together == 2 ? 0.25 : 0);
    EXPECT_FLOAT_EQ(statistics.affine(0, 0).inverse_deviation[0],
                    static_cast<float>(1 / std::sqrt(variance + 1e-5)));
    EXPECT_FLOAT_EQ(running.mean(0, 0)[0], 1.5F);
    EXPECT_FLOAT_EQ(running.variance(0, 0)[0], static_cast<float>(variance));
  };
  for (int workers = 1; workers <= 4; ++workers) {
    for (const std::int64_t together : {4, 2, 1}) {
      test::run_workers(workers, [&](Communicator& comm) { by_group(comm, together); });
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
