#include "trainer/data/transform.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <stdexcept>
#include <utility>

#include "tests/unit/data/fixtures.h"

namespace lockstep::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const InputNormalization identity{{0}, {1}};

std::vector<float> train(const Transform& transform, const Bytes& pixels, std::int64_t epoch,
                         std::int64_t index) {
  std::vector<float> out(pixels.size());
  transform.training(pixels, epoch, index, out);
  return out;
}
std::vector<float> evaluate(const Transform& transform, const Bytes& pixels) {
  std::vector<float> out(pixels.size());
  transform.evaluation(pixels, out);
  return out;
}
std::vector<float> scaled(const Bytes& pixels) {
  std::vector<float> out;
  for (const std::uint8_t pixel : pixels) out.push_back(static_cast<float>(pixel / 255.0));
  return out;
}

TEST(MeasureNormalization, IsTheMeanAndDeviationOfEachChannel) {
  // Channel 0: 0 and 255 in equal parts; channel 1: 10, 20, 30, 40.
  const FunctionDataset dataset(2, {1, 2, 2}, [](std::int64_t index, std::int64_t element) {
    const std::int64_t pixel = element / 2;
    return static_cast<std::uint8_t>(element % 2 == 0 ? 255 * pixel : 10 + 20 * index + 10 * pixel);
  });
  const InputNormalization measured = measure_normalization(dataset);
  ASSERT_EQ(measured.mean.size(), 2U);
  EXPECT_DOUBLE_EQ(measured.mean[0], 0.5);
  EXPECT_DOUBLE_EQ(measured.deviation[0], 0.5);
  EXPECT_DOUBLE_EQ(measured.mean[1], 25 / 255.0);
  EXPECT_DOUBLE_EQ(measured.deviation[1], std::sqrt(125.0) / 255);
}

TEST(MeasureNormalization, AConstantChannelNormalizesToZero) {
  const FunctionDataset dataset(3, {2, 2, 1}, [](std::int64_t, std::int64_t) { return std::uint8_t{77}; });
  const InputNormalization measured = measure_normalization(dataset);
  EXPECT_EQ(measured.deviation[0], 1);
  const Transform transform({2, 2, 1}, measured, {}, 1);
  EXPECT_EQ(evaluate(transform, Bytes(4, 77)), std::vector<float>(4, 0.0F));
}

TEST(MeasureNormalization, DoesNotDependOnTheOrderOfSamples) {
  const auto dataset = std::make_shared<FunctionDataset>(
      100, SampleShape{3, 3, 1}, [](std::int64_t index, std::int64_t element) {
        return static_cast<std::uint8_t>(index * 31 + element * 7);
      });
  std::vector<std::int64_t> backwards;
  for (std::int64_t i = 99; i >= 0; --i) backwards.push_back(i);
  const InputNormalization a = measure_normalization(*dataset);
  const InputNormalization b = measure_normalization(*make_subset(dataset, backwards));
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.deviation, b.deviation);
}

TEST(Transform, NormalizesEachChannelByItsOwn) {
  const Transform transform({1, 2, 2}, {{0.5, 0.25}, {0.5, 2.0}}, {}, 1);
  const std::vector<float> expected{-1.0F, static_cast<float>((255 / 255.0 - 0.25) / 2.0), 1.0F,
                                    static_cast<float>((51 / 255.0 - 0.25) / 2.0)};
  EXPECT_EQ(evaluate(transform, {0, 255, 255, 51}), expected);
}

TEST(Transform, TrainingWithoutAugmentationIsEvaluation) {
  const Transform transform({2, 2, 1}, {{0.1}, {0.3}}, {}, 1);
  const Bytes pixels{1, 2, 3, 4};
  EXPECT_EQ(train(transform, pixels, 3, 5), evaluate(transform, pixels));
}

TEST(Transform, FlipMirrorsPixelsAndKeepsChannelsTogetherInAboutHalfOfTheSamples) {
  const Transform transform({2, 2, 2}, {{0, 0}, {1, 1}}, {.pad_crop = 0, .flip = true}, 1);
  const Bytes pixels{1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes mirrored{3, 4, 1, 2, 7, 8, 5, 6};
  int flips = 0;
  for (std::int64_t index = 0; index < 200; ++index) {
    const auto out = train(transform, pixels, 0, index);
    const bool flipped = out == scaled(mirrored);
    EXPECT_TRUE(flipped || out == scaled(pixels));
    flips += flipped ? 1 : 0;
  }
  EXPECT_NEAR(flips, 100, 35);  // five standard deviations
}

// 3x3 pixels 1 … 9 with one pixel of padding: every crop is one of the nine windows into the padded image.
TEST(Transform, CropShowsEveryWindowOfTheZeroPaddedImage) {
  const Transform transform({3, 3, 1}, identity, {.pad_crop = 1, .flip = false}, 1);
  const Bytes pixels{1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::set<std::vector<float>> windows;
  for (std::size_t top = 0; top < 3; ++top) {
    for (std::size_t left = 0; left < 3; ++left) {
      Bytes window;
      for (std::size_t row = top; row < top + 3; ++row) {
        for (std::size_t column = left; column < left + 3; ++column) {
          const bool padding = row == 0 || row == 4 || column == 0 || column == 4;
          window.push_back(padding ? 0 : pixels[(row - 1) * 3 + column - 1]);
        }
      }
      windows.insert(scaled(window));
    }
  }
  std::set<std::vector<float>> seen;
  for (std::int64_t index = 0; index < 300; ++index) seen.insert(train(transform, pixels, 2, index));
  EXPECT_EQ(seen, windows);
}

TEST(Transform, FlipMirrorsWhatTheCropShows) {
  const Transform crops({3, 3, 1}, identity, {.pad_crop = 1, .flip = false}, 1);
  const Transform both({3, 3, 1}, identity, {.pad_crop = 1, .flip = true}, 1);
  const Bytes pixels{1, 2, 3, 4, 5, 6, 7, 8, 9};
  int flips = 0;
  for (std::int64_t index = 0; index < 50; ++index) {
    const auto cropped = train(crops, pixels, 0, index);
    auto mirrored = cropped;
    for (std::size_t row = 0; row < 3; ++row) std::swap(mirrored[row * 3], mirrored[row * 3 + 2]);
    const auto out = train(both, pixels, 0, index);
    EXPECT_TRUE(out == cropped || out == mirrored) << index;
    flips += out == mirrored ? 1 : 0;
  }
  EXPECT_GT(flips, 0);
}

TEST(Transform, PaddingIsBlackBeforeNormalization) {
  const Transform transform({2, 2, 1}, {{0.5}, {0.25}}, {.pad_crop = 1, .flip = false}, 1);
  std::set<float> seen;
  for (std::int64_t index = 0; index < 50; ++index) {
    for (const float value : train(transform, Bytes(4, 255), 0, index)) seen.insert(value);
  }
  EXPECT_EQ(seen, (std::set<float>{-2.0F, 2.0F}));
}

TEST(Transform, AugmentationIsAFunctionOfSeedEpochAndIndex) {
  const AugmentConfig augment{.pad_crop = 3, .flip = true};
  const Transform transform({8, 8, 1}, identity, augment, 1);
  const Transform same({8, 8, 1}, identity, augment, 1);
  const Transform other({8, 8, 1}, identity, augment, 2);
  Bytes pixels(64);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i + 1);
  const auto outputs = [&](const Transform& of, std::int64_t epoch) {
    std::vector<std::vector<float>> all;
    for (std::int64_t index = 0; index < 20; ++index) all.push_back(train(of, pixels, epoch, index));
    return all;
  };
  EXPECT_EQ(outputs(transform, 0), outputs(same, 0));
  EXPECT_NE(outputs(transform, 0), outputs(transform, 1));
  EXPECT_NE(outputs(transform, 0), outputs(other, 0));
  EXPECT_NE(outputs(transform, 0)[0], outputs(transform, 0)[1]);
}

TEST(MeasureNormalization, DoesNotDependOnTheThreads) {
  const FunctionDataset dataset(100, {3, 3, 2}, [](std::int64_t index, std::int64_t element) {
    return static_cast<std::uint8_t>(index * 31 + element * 7);
  });
  const InputNormalization one = measure_normalization(dataset);
  const InputNormalization three = measure_normalization(dataset, 3);
  EXPECT_EQ(one.mean, three.mean);
  EXPECT_EQ(one.deviation, three.deviation);
}

TEST(Transform, ChoosesARegionOnlyWhereItIsAskedFor) {
  EXPECT_FALSE(Transform({8, 8, 1}, identity, {}, 1).region(0, 0));
  AugmentConfig augment;
  augment.crop_scale = {0.25, 0.25};
  augment.crop_ratio = {1, 1};
  const Transform transform({8, 8, 1}, identity, augment, 1);
  const auto draw = [&](std::int64_t epoch, std::int64_t index) {
    return transform.region(epoch, index)(100, 100);
  };
  EXPECT_EQ(draw(2, 3), draw(2, 3));
  EXPECT_NE(draw(2, 3), draw(2, 4));
  EXPECT_NE(draw(2, 3), draw(3, 3));
  EXPECT_EQ(draw(2, 3).height, 50);
  EXPECT_EQ(draw(2, 3).width, 50);
  EXPECT_FALSE(transform.plain().region(0, 0));
}

TEST(Transform, ARegionOfAnyDataSetIsScaledToItsShape) {
  const FunctionDataset dataset(1, {4, 4, 1}, [](std::int64_t, std::int64_t element) {
    return static_cast<std::uint8_t>(element % 4 < 2 ? 0 : 200);
  });
  Bytes pixels(16);
  EXPECT_EQ(dataset.get_region(
                0,
                [](auto...) {
                  return Region{1, 2, 2, 2};
                },
                pixels),
            0);
  EXPECT_EQ(pixels, Bytes(16, 200));
}

TEST(Transform, ChangesColorsByEpochAndIndexAlone) {
  Bytes pixels(48);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(40 + 4 * i);
  for (double AugmentConfig::*const amount : {&AugmentConfig::brightness, &AugmentConfig::contrast,
                                              &AugmentConfig::saturation, &AugmentConfig::hue}) {
    AugmentConfig augment;
    augment.*amount = 0.4;
    const Transform transform({4, 4, 3}, {{0, 0, 0}, {1, 1, 1}}, augment, 1);
    EXPECT_EQ(train(transform, pixels, 1, 2), train(transform, pixels, 1, 2));
    EXPECT_NE(train(transform, pixels, 1, 2), train(transform, pixels, 1, 3));
    EXPECT_NE(train(transform, pixels, 1, 2), train(transform, pixels, 2, 2));
    EXPECT_EQ(evaluate(transform, pixels), scaled(pixels));
  }
}

TEST(Transform, BrightnessIsAFactorWithinItsBounds) {
  AugmentConfig augment;
  augment.brightness = 0.5;
  const Transform transform({1, 1, 1}, identity, augment, 1);
  double sum = 0;
  for (std::int64_t index = 0; index < 1000; ++index) {
    const float pixel = 255 * train(transform, {100}, 0, index)[0];
    EXPECT_GE(pixel, 49.9F);
    EXPECT_LE(pixel, 150.1F);
    sum += pixel / 1000;
  }
  EXPECT_NEAR(sum, 99.5, 2.5);
}

TEST(Transform, RefusesToChangeColorsOfGrayImages) {
  AugmentConfig augment;
  augment.hue = 0.1;
  EXPECT_THAT(message_of<UsageError>([&] {
                Transform({4, 6, 1}, identity, augment, 1);
              }),
              AllOf(HasSubstr("saturation and hue"), HasSubstr("4x6x1")));
}

TEST(Transform, RefusesANormalizationThatDoesNotSuitTheImages) {
  const auto error = [](const InputNormalization& normalization) {
    return message_of<UsageError>([&] { Transform({2, 2, 3}, normalization, {}, 1); });
  };
  EXPECT_THAT(error({{0.5}, {1, 1, 1}}), AllOf(HasSubstr("data.mean has 1"), HasSubstr("2x2x3")));
  EXPECT_THAT(error({{0, 0, 0}, {1, 1}}), HasSubstr("data.std has 2"));
  EXPECT_THAT(error({{0, 0, 0}, {1, 0, 1}}), AllOf(HasSubstr("data.std has 0"), HasSubstr("above 0")));
  EXPECT_THAT(error({{0, NAN, 0}, {1, 1, 1}}), HasSubstr("not finite"));
}

TEST(Transform, RefusesACropThatMayMissTheImage) {
  const auto make = [](std::int64_t pad) {
    Transform({4, 6, 1}, identity, {.pad_crop = pad, .flip = false}, 1);
  };
  EXPECT_NO_THROW(make(3));
  EXPECT_THAT(message_of<UsageError>([&] { make(4); }),
              AllOf(HasSubstr("data.augment.pad_crop is 4"), HasSubstr("0 to 3")));
}

TEST(Transform, RefusesRoomOfAnotherSize) {
  const Transform transform({2, 2, 1}, identity, {}, 1);
  const Bytes pixels(4);
  std::vector<float> out(3);
  EXPECT_THROW(transform.evaluation(pixels, out), std::invalid_argument);
}

}  // namespace
}  // namespace lockstep::testing
