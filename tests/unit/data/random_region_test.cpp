#include "trainer/data/random_region.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace lockstep::testing {
namespace {

const Random random(1, "region");
constexpr Bounds scale{0.08, 1};
constexpr Bounds ratio{3.0 / 4, 4.0 / 3};

void expect_inside(const Region& region, std::int64_t height, std::int64_t width) {
  EXPECT_GE(region.top, 0);
  EXPECT_GE(region.left, 0);
  EXPECT_GE(region.height, 1);
  EXPECT_GE(region.width, 1);
  EXPECT_LE(region.top + region.height, height);
  EXPECT_LE(region.left + region.width, width);
}

TEST(RandomRegion, HasAreaProportionAndPlaceWithinItsBounds) {
  double areas = 0;
  double logarithms = 0;
  double lefts = 0;
  constexpr int draws = 4000;
  for (int i = 0; i < draws; ++i) {
    const Region region = random_region(random, 0, i, {0.1, 0.3}, ratio, 400, 500);
    expect_inside(region, 400, 500);
    const double share = static_cast<double>(region.height * region.width) / (400.0 * 500);
    const double proportion = static_cast<double>(region.width) / static_cast<double>(region.height);
    EXPECT_NEAR(share, 0.2, 0.101);
    EXPECT_GT(proportion, ratio.least * 0.98);
    EXPECT_LT(proportion, ratio.most * 1.02);
    areas += share / draws;
    logarithms += std::log(proportion) / draws;
    lefts += static_cast<double>(region.left) / static_cast<double>(500 - region.width) / draws;
  }
  EXPECT_NEAR(areas, 0.2, 0.005);
  EXPECT_NEAR(logarithms, 0, 0.01);
  EXPECT_NEAR(lefts, 0.5, 0.02);
}

TEST(RandomRegion, IsAFunctionOfEpochAndIndex) {
  const auto draw = [](std::int64_t epoch, std::int64_t index) {
    const Region region = random_region(random, epoch, index, scale, ratio, 1000, 1000);
    return std::tuple(region.top, region.left, region.height, region.width);
  };
  EXPECT_EQ(draw(3, 5), draw(3, 5));
  std::set<decltype(draw(0, 0))> different;
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (int index = 0; index < 25; ++index) different.insert(draw(epoch, index));
  }
  EXPECT_EQ(different.size(), 100U);
}

TEST(RandomRegion, OfANarrowPictureIsTheLargestMiddle) {
  EXPECT_EQ(random_region(random, 0, 0, {1, 1}, ratio, 10, 1000), (Region{0, 493, 10, 13}));
  EXPECT_EQ(random_region(random, 0, 0, {1, 1}, ratio, 1000, 9), (Region{494, 0, 12, 9}));
  EXPECT_EQ(random_region(random, 0, 0, {1, 1}, {1, 1}, 7, 7), (Region{0, 0, 7, 7}));
}

TEST(RandomRegion, OfATinyPictureHasAPixel) {
  for (int i = 0; i < 100; ++i)
    expect_inside(random_region(random, 0, i, scale, ratio, 1, 1 + i % 3), 1, 1 + i % 3);
}

}  // namespace
}  // namespace lockstep::testing
