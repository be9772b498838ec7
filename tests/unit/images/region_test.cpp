#include "trainer/data/images/region.h"

#include <gmock/gmock.h>

#include <stdexcept>

// That scaled regions are torchvision's, bit for bit, is tested in tests/interop.
namespace lockstep {
namespace {

using testing::ElementsAre;

const Image picture{{3, 4, 1}, {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}};

TEST(Region, IsCutOutOfItsPicture) {
  const Image piece = cut(picture, {1, 2, 2, 2});
  EXPECT_EQ(piece.shape, (SampleShape{2, 2, 1}));
  EXPECT_THAT(piece.pixels, ElementsAre(12, 13, 22, 23));
  EXPECT_EQ(cut(picture, {0, 0, 3, 4}).pixels, picture.pixels);
  const Image colors{{1, 2, 3}, {1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(cut(colors, {0, 1, 1, 1}).pixels, ElementsAre(4, 5, 6));
}

TEST(Region, LiesInsideOfItsPicture) {
  for (const Region& outside :
       {Region{-1, 0, 1, 1}, Region{0, 0, 4, 1}, Region{0, 3, 1, 2}, Region{0, 0, 0, 1}}) {
    EXPECT_THROW(cut(picture, outside), std::out_of_range);
  }
}

// Nothing beyond the edge of the region takes part.
TEST(Region, IsScaledAsAPictureOfItsOwn) {
  const Image piece = resized_cut(picture, {0, 0, 1, 1}, 2, 3);
  EXPECT_EQ(piece.shape, (SampleShape{2, 3, 1}));
  EXPECT_THAT(piece.pixels, testing::Each(0));
}

}  // namespace
}  // namespace lockstep
