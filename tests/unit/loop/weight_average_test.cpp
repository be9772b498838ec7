#include "trainer/loop/weight_average.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace lockstep {
namespace {

// A weight, a running mean, a mean of `precise` statistics, and a count.
struct Tensors {
  std::vector<float> weight{0, 0, 0}, mean{0}, precise{0};
  std::int64_t count = 0;

  std::vector<ModelTensor> state() {
    const auto bytes = [](auto& values) { return std::as_writable_bytes(std::span(values)); };
    return {{"w", DType::f32, {3}, bytes(weight)},
            {"bn.running_mean", DType::f32, {1}, bytes(mean)},
            {"stats.precise.bn.running_mean", DType::f32, {1}, bytes(precise), true},
            {"bn.num_batches_tracked", DType::i64, {}, std::as_writable_bytes(std::span(&count, 1))}};
  }
  void set(float value, std::int64_t batches) {
    weight = {value, 2 * value, -value};
    mean = {10 * value};
    precise = {value};
    count = batches;
  }
};

TEST(WeightAverage, FollowsItsDefinitionFromTheFirstStepOn) {
  Tensors model;
  WeightAverage average(model.state(), 0.75);
  float expected = 0;
  for (int step = 1; step <= 5; ++step) {
    const auto value = static_cast<float>(step * step);
    model.set(value, step);
    average.update(model.state(), step == 1, false);
    expected = step == 1 ? value : expected + 0.25F * (value - expected);
  }
  const Tensors last = model;
  const WeightAverage::InPlace averaged(average, [&] { return model.state(); });
  EXPECT_EQ(model.weight, (std::vector<float>{expected, 2 * expected, -expected}));
  EXPECT_EQ(model.mean, std::vector<float>{10 * expected});
  EXPECT_EQ(model.count, last.count);
  EXPECT_EQ(model.precise, std::vector<float>{0}) << "made from the averaged weights, by somebody else";
}

TEST(WeightAverage, FollowsFrozenStatisticsWhereverTheyCameFrom) {
  Tensors model;
  WeightAverage average(model.state(), 0.5);
  model.set(8, 1);
  average.update(model.state(), true, true);
  model.set(4, 2);
  average.update(model.state(), false, true);
  const WeightAverage::InPlace averaged(average, [&] { return model.state(); });
  EXPECT_EQ(model.precise, std::vector<float>{6});
}

TEST(WeightAverage, GivesTheModelBack) {
  Tensors model;
  WeightAverage average(model.state(), 0.5);
  model.set(3, 7);
  {
    const WeightAverage::InPlace averaged(average, [&] { return model.state(); });
    EXPECT_EQ(model.count, 0);
  }
  EXPECT_EQ(model.weight, (std::vector<float>{3, 6, -3}));
  EXPECT_EQ(model.count, 7);
}

TEST(WeightAverage, NamesItsTensorsAfterTheModels) {
  Tensors model;
  const WeightAverage average(model.state(), 0.5);
  const auto state = average.state();
  EXPECT_EQ(state[1].name, "ema_weights.bn.running_mean");
  EXPECT_TRUE(state[2].derived);
  EXPECT_EQ(state[3].dtype, DType::i64);
}

}  // namespace
}  // namespace lockstep
