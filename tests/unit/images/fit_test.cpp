#include "trainer/data/images/fit.h"

#include <gmock/gmock.h>

#include "comm/base/error.h"

// That scaled pictures are Pillow's, bit for bit, is tested in tests/interop.
namespace lockstep {
namespace {

using testing::Each;
using testing::ElementsAre;

TEST(Fit, LeavesAPictureThatFitsAsItIs) {
  const Image image{{2, 3, 1}, {0, 50, 100, 150, 200, 255}};
  EXPECT_EQ(fit(image, {2, 3, 1}, "a").pixels, image.pixels);
}

TEST(Fit, KeepsAShareOfTheShorterSide) {
  Image ramp{{4, 8, 1}, {}};
  for (int i = 0; i < 32; ++i) ramp.pixels.push_back(static_cast<std::uint8_t>(10 * (i % 8)));
  EXPECT_THAT(fit(ramp, {2, 2, 1}, "a", 0.5).pixels, ElementsAre(30, 40, 30, 40));
  EXPECT_EQ(fit(ramp, {2, 2, 1}, "a", 1.0).pixels, fit(ramp, {2, 2, 1}, "a").pixels);
}

TEST(Fit, CutsTheMiddleOut) {
  const Image wide{{1, 5, 1}, {1, 2, 3, 4, 5}};
  EXPECT_THAT(fit(wide, {1, 1, 1}, "a").pixels, ElementsAre(3));
  EXPECT_THAT(fit(wide, {1, 3, 1}, "a").pixels, ElementsAre(2, 3, 4));
  const Image tall{{5, 1, 1}, {1, 2, 3, 4, 5}};
  EXPECT_THAT(fit(tall, {3, 1, 1}, "a").pixels, ElementsAre(2, 3, 4));
  // Half a pixel goes to the even side: 0 of 1, 2 of 3.
  EXPECT_THAT(fit(wide, {1, 4, 1}, "a").pixels, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(fit(wide, {1, 2, 1}, "a").pixels, ElementsAre(3, 4));
}

TEST(Fit, ScalesOverAllPixelsThatAnOutputCovers) {
  const Image image{{2, 2, 1}, {0, 100, 100, 200}};
  EXPECT_THAT(fit(image, {1, 1, 1}, "a").pixels, ElementsAre(100));
  // The outer columns count 5/24 each, the inner 7/24.
  const std::vector<std::uint8_t> row{240, 0, 0, 240};
  Image columns{{4, 4, 1}, {}};
  for (std::size_t i = 0; i < 4 * row.size(); ++i) columns.pixels.push_back(row[i % row.size()]);
  EXPECT_THAT(fit(columns, {1, 1, 1}, "a").pixels, ElementsAre(100));
  EXPECT_THAT(fit({{3, 7, 3}, std::vector<std::uint8_t>(63, 77)}, {20, 11, 3}, "a").pixels, Each(77));
}

TEST(Fit, TurnsGrayIntoColorsAndBack) {
  EXPECT_THAT(fit({{1, 2, 1}, {7, 9}}, {1, 2, 3}, "a").pixels, ElementsAre(7, 7, 7, 9, 9, 9));
  const Image primaries{{1, 4, 3}, {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255}};
  EXPECT_THAT(fit(primaries, {1, 4, 1}, "a").pixels, ElementsAre(76, 150, 29, 255));
}

TEST(Fit, NeedsNoMoreOfALongPictureThanItsMiddle) {
  std::vector<std::uint8_t> rows(1'000'000);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint8_t>(i >= rows.size() / 2);
  EXPECT_EQ(fit({{1'000'000, 1, 1}, rows}, {1000, 1000, 1}, "a").pixels.size(), 1'000'000U);
}

TEST(Fit, RefusesANetworkForSomethingElseThanPictures) {
  EXPECT_THROW(fit({{1, 1, 1}, {0}}, {1, 1, 2}, "a"), DataError);
}

}  // namespace
}  // namespace lockstep
