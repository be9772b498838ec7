#include "trainer/optim/clip.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep {
namespace {

OptimizerConfig clip_at(double norm) {
  OptimizerConfig config;
  config.clip_norm = norm;
  return config;
}

// torch.nn.utils.clip_grad_norm_ of (3, 4) at 2 multiplies by 2/(5 + 1e-6) = 0.39999992.
TEST(Clip, ScalesALongGradientAsPyTorchDoes) {
  std::vector<float> gradients{3, 0, -4};
  EXPECT_EQ(clip_gradients(clip_at(2), gradients), 5.0);
  EXPECT_EQ(gradients, (std::vector<float>{3 * 0.39999992F, 0, -4 * 0.39999992F}));
}

TEST(Clip, LeavesAShortGradientToTheBit) {
  const std::vector<float> before{3, 0, -4};
  for (const double most : {5.00001, 1e300}) {
    std::vector<float> gradients = before;
    EXPECT_EQ(clip_gradients(clip_at(most), gradients), 5.0);
    EXPECT_EQ(gradients, before);
  }
}

TEST(Clip, DoesNothingUnlessAsked) {
  std::vector<float> gradients{3, 0, -4};
  EXPECT_EQ(clip_gradients(clip_at(0), gradients), std::nullopt);
  EXPECT_EQ(gradients, (std::vector<float>{3, 0, -4}));
}

TEST(Clip, TakesNoGradientAtAll) {
  std::vector<float> gradients(5);
  EXPECT_EQ(clip_gradients(clip_at(1e-3), gradients), 0.0);
  EXPECT_EQ(gradients, std::vector<float>(5));
}

TEST(Clip, TakesTheLargestGradientsThatAreFinite) {
  std::vector<float> gradients(3, 3e38F);
  EXPECT_NEAR(*clip_gradients(clip_at(1), gradients), 5.196e38, 1e35);
  for (const float gradient : gradients) EXPECT_NEAR(gradient, 0.57735F, 1e-5F);
}

}  // namespace
}  // namespace lockstep
