#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <vector>

#include "layers/loss/softmax_cross_entropy.h"

namespace lockstep {
namespace {

const std::vector<float> logits{0.5F, -1, 2, 0.25F, 3, 3, -2, 0, -0.5F, 0.1F, 0.2F, 0.3F};
const std::vector<std::int32_t> labels{2, 1, 0};
constexpr std::int64_t classes = 4;

TEST(SoftmaxCrossEntropyMistakes, RefusesSizesThatDoNotFitAndLabelsOutOfRange) {
  std::vector<float> short_gradient(3);
  EXPECT_THROW(softmax_cross_entropy(logits, labels, 5, 0, 3, {}), std::logic_error);
  EXPECT_THROW(softmax_cross_entropy(logits, labels, classes, 0, 3, short_gradient), std::logic_error);
  EXPECT_THROW(softmax_cross_entropy(std::array{1.0F, 2.0F}, std::array{2}, 2, 0, 1, {}), std::logic_error);
  EXPECT_THROW(softmax_cross_entropy(std::array{1.0F, 2.0F}, std::array{-1}, 2, 0, 1, {}), std::logic_error);
}

}  // namespace
}  // namespace lockstep
