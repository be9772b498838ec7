// Batch normalization as the model runs it, against plain fp64 arithmetic over the whole batch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "comm/single/single.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

// Images → batch_norm → flatten → linear: its input is the data itself.
ModelOptions norm_first() {
  ModelOptions options;
  options.input = {.height = 2, .width = 3, .channels = 5};
  options.classes = 3;
  options.shards = 4;
  options.statistics_group = 4;
  options.spec.name = "";
  options.spec.layers = {{"bn", BatchNormSpec{}}, {"flatten", FlattenSpec{}}, {"fc", LinearSpec{.out = 3}}};
  return options;
}

std::vector<double> running(Model& model, const std::string& name) {
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.name != name) continue;
    std::vector<double> values;
    if (tensor.dtype == DType::i64) {
      std::int64_t value = 0;
      std::memcpy(&value, tensor.bytes.data(), sizeof value);
      values.push_back(static_cast<double>(value));
    } else {
      std::vector<float> floats(tensor.bytes.size() / sizeof(float));
      std::memcpy(floats.data(), tensor.bytes.data(), tensor.bytes.size());
      values.assign(floats.begin(), floats.end());
    }
    return values;
  }
  return {};
}

struct Moments {
  double mean = 0, unbiased = 0;
};

// Over samples [begin, end) of a RandomBatch, in two fp64 passes.
Moments direct(const ModelOptions& options, Range samples, std::int64_t channel, std::uint64_t seed) {
  const RandomBatch batch(ShardLayout(1, 1, 0), options.input, options.classes, samples.end, seed);
  const float* images = batch.input().shards[0].images;
  const std::int64_t rows = options.input.pixels();
  double sum = 0;
  double squares = 0;
  const auto each = [&](auto&& use) {
    for (std::int64_t row = samples.begin * rows; row < samples.end * rows; ++row) {
      use(static_cast<double>(images[row * options.input.channels + channel]));
    }
  };
  each([&](double x) { sum += x; });
  const auto count = static_cast<double>(samples.size() * rows);
  each([&](double x) { squares += (x - sum / count) * (x - sum / count); });
  return {.mean = sum / count, .unbiased = squares / (count - 1)};
}

void train(Model& model, std::int64_t global, std::uint64_t seed) {
  const auto comm = make_single();
  GradientReducer reducer(*comm, model.layout(), model.gradient_tensors(), {});
  const RandomBatch batch(model.layout(), model.options().input, model.options().classes, global, seed);
  model.train_step(*comm, reducer, batch.input(), 0);
}

TEST(RunningStatistics, EmaBlendsTheGlobalMeanAndUnbiasedVariance) {
  const ModelOptions options = norm_first();
  Model model(options, 1, 0);
  model.initialize();
  train(model, 7, 1);
  for (std::int64_t c = 0; c < options.input.channels; ++c) {
    const Moments expected = direct(options, {0, 7}, c, 1);
    const auto channel = static_cast<std::size_t>(c);
    EXPECT_NEAR(running(model, "bn.running_mean")[channel], 0.1 * expected.mean, 1e-6);
    EXPECT_NEAR(running(model, "bn.running_var")[channel], 0.9 + 0.1 * expected.unbiased, 1e-6);
  }
  EXPECT_EQ(running(model, "bn.num_batches_tracked")[0], 1);
}

TEST(RunningStatistics, CumulativeIsThePlainAverage) {
  ModelOptions options = norm_first();
  options.running_statistics = {{}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
  Model model(options, 1, 0);
  model.initialize();
  train(model, 7, 1);
  train(model, 4, 2);
  train(model, 2, 3);
  for (std::int64_t c = 0; c < options.input.channels; ++c) {
    const double expected = (direct(options, {0, 7}, c, 1).mean + direct(options, {0, 4}, c, 2).mean +
                             direct(options, {0, 2}, c, 3).mean) /
                            3;
    EXPECT_NEAR(running(model, "stats.cumulative.bn.running_mean")[static_cast<std::size_t>(c)], expected,
                1e-6);
  }
}

TEST(RunningStatistics, LocalOnesAreTheCountWeightedMeanOverTheGroups) {
  ModelOptions options = norm_first();
  options.statistics_group = 1;
  Model model(options, 1, 0);
  model.initialize();
  train(model, 6, 1);  // shards of 2, 2, 1 and 1 samples
  for (std::int64_t c = 0; c < options.input.channels; ++c) {
    double mean = 0;
    double variance = 0;
    for (const Range shard : {Range{0, 2}, Range{2, 4}, Range{4, 5}, Range{5, 6}}) {
      const Moments moments = direct(options, shard, c, 1);
      mean += static_cast<double>(shard.size()) / 6 * moments.mean;
      variance += static_cast<double>(shard.size()) / 6 * moments.unbiased;
    }
    EXPECT_NEAR(running(model, "bn.running_mean")[static_cast<std::size_t>(c)], 0.1 * mean, 1e-6);
    EXPECT_NEAR(running(model, "bn.running_var")[static_cast<std::size_t>(c)], 0.9 + 0.1 * variance, 1e-6);
  }
}

TEST(Model, TellsItsMemoryAndNeedsLessWhenItRecomputes) {
  ModelOptions options = small_resnet();
  const std::size_t less = Model(options, 1, 0).memory_bytes({.global = 64, .evaluation = 64});
  options.recompute = false;
  EXPECT_LT(less, Model(options, 1, 0).memory_bytes({.global = 64, .evaluation = 64}));
  EXPECT_LT(Model(options, 4, 0).memory_bytes({.global = 64, .evaluation = 64}),
            Model(options, 1, 0).memory_bytes({.global = 64, .evaluation = 64}));
}

// Kernels of its shards hold parameters as they read them.
TEST(Model, CountsTheLastBatchOfAnEpochToo) {
  Model model(small_resnet(), 1, 0);
  const std::size_t whole = model.memory_bytes({.global = 64, .evaluation = 64});
  EXPECT_GT(model.memory_bytes({.global = 64, .last = 3, .evaluation = 64}), whole);
  EXPECT_GT(model.memory_bytes({.global = 64, .evaluation = 64, .last_evaluation = 3}), whole);
}

}  // namespace
}  // namespace lockstep::testing
