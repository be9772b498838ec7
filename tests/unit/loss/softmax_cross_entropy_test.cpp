#include "layers/loss/softmax_cross_entropy.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/unit/ops/tested.h"

namespace lockstep::test {
namespace {

using SoftmaxCrossEntropy = TestedTest;

const std::vector<float> logits{0.5F, -1, 2, 0.25F, 3, 3, -2, 0, -0.5F, 0.1F, 0.2F, 0.3F};
const std::vector<std::int32_t> labels{2, 1, 0};
constexpr std::int64_t classes = 4;

double naive_loss(const std::vector<float>& z, double smoothing) {
  double loss = 0;
  for (std::size_t n = 0; n < labels.size(); ++n) {
    double sum = 0;
    for (std::size_t j = 0; j < 4; ++j) sum += std::exp(static_cast<double>(z[n * 4 + j]));
    for (std::size_t j = 0; j < 4; ++j) {
      const bool hit = static_cast<std::int32_t>(j) == labels[n];
      const double target = smoothing / 4 + (hit ? 1 - smoothing : 0);
      loss -= target * (static_cast<double>(z[n * 4 + j]) - std::log(sum));
    }
  }
  return loss;
}

TEST_F(SoftmaxCrossEntropy, IsTheDefinitionWithAndWithoutSmoothing) {
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    const LossSums sums = tested::softmax_cross_entropy(logits, labels, classes, smoothing, 3, {});
    EXPECT_NEAR(sums.loss, naive_loss(logits, smoothing), 1e-12) << smoothing;
  }
}

TEST_F(SoftmaxCrossEntropy, GradientIsThatOfTheMeanOverTheGlobalBatch) {
  constexpr std::int64_t global = 8;
  for (const double smoothing : {0.0, 0.1}) {
    std::vector<float> gradient(logits.size());
    tested::softmax_cross_entropy(logits, labels, classes, smoothing, global, gradient);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      constexpr float step = 1.0F / 256;
      std::vector<float> moved = logits;
      moved[i] = logits[i] + step;
      const double above = naive_loss(moved, smoothing);
      moved[i] = logits[i] - step;
      const double below = naive_loss(moved, smoothing);
      EXPECT_NEAR(gradient[i], (above - below) / (2 * step) / global, 1e-6) << i;
    }
  }
}

TEST_F(SoftmaxCrossEntropy, CountsASampleWhoseLabelIsTheFirstOfTheLargest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto correct = [](const std::vector<float>& row, std::int32_t label) {
    return tested::softmax_cross_entropy(row, std::array{label}, 3, 0, 1, {}).correct;
  };
  EXPECT_EQ(correct({1, 3, 2}, 1), 1);
  EXPECT_EQ(correct({1, 3, 2}, 2), 0);
  EXPECT_EQ(correct({3, 3, 2}, 0), 1);
  EXPECT_EQ(correct({3, 3, 2}, 1), 0);
  EXPECT_EQ(correct({nan, 3, 2}, 1), 0);
  EXPECT_EQ(correct({nan, 3, 2}, 0), 0);
  EXPECT_EQ(correct({1, 3, nan}, 1), 0);
}

TEST_F(SoftmaxCrossEntropy, TakesLogitsWhoseExponentialOverflows) {
  std::vector<float> gradient(2);
  const LossSums sums =
      tested::softmax_cross_entropy(std::array{1000.0F, -1000.0F}, std::array{1}, 2, 0, 1, gradient);
  EXPECT_DOUBLE_EQ(sums.loss, 2000);
  EXPECT_EQ(gradient, (std::vector<float>{1, -1}));
}

TEST_F(SoftmaxCrossEntropy, LetsNaNThrough) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i < 3; ++i) {
    std::array row{1.0F, 2.0F, 3.0F};
    row[i] = nan;
    EXPECT_TRUE(std::isnan(tested::softmax_cross_entropy(row, std::array{1}, 3, 0, 1, {}).loss)) << i;
  }
}

TEST_F(SoftmaxCrossEntropy, OfAnEmptyShardIsZero) {
  const LossSums sums = tested::softmax_cross_entropy({}, {}, classes, 0.1, 8, {});
  EXPECT_EQ(sums.loss, 0);
  EXPECT_EQ(sums.correct, 0);
}

TEST_F(SoftmaxCrossEntropy, IsTheSameBitsAtEveryAddress) {
  std::vector<float> expected(logits.size());
  const LossSums sums = tested::softmax_cross_entropy(logits, labels, classes, 0.1, 3, expected);
  for (std::size_t offset = 0; offset < 16; ++offset) {
    std::vector<float> moved(offset);
    moved.insert(moved.end(), logits.begin(), logits.end());
    std::vector<float> gradient(offset + logits.size());
    const auto behind = [&](std::vector<float>& values) { return std::span(values).subspan(offset); };
    const LossSums other =
        tested::softmax_cross_entropy(behind(moved), labels, classes, 0.1, 3, behind(gradient));
    EXPECT_EQ(sums.loss, other.loss) << offset;
    EXPECT_EQ(std::memcmp(behind(gradient).data(), expected.data(), expected.size() * sizeof(float)), 0)
        << offset;
  }
}

}  // namespace
}  // namespace lockstep::test
