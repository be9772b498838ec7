#include "layers/tensor/element.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

constexpr std::uint32_t patterns = 1U << 16U;

Bf16 bf16(std::uint32_t bits) {
  return {static_cast<std::uint16_t>(bits)};
}

TEST(Bf16, EveryNumberComesBackFromFp32) {
  for (std::uint32_t bits = 0; bits < patterns; ++bits) {
    const float value = to_float(bf16(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(stored<Bf16>(value))) << bits;
    } else {
      EXPECT_EQ(from_float<Bf16>(value).bits, bits);
    }
  }
}

// By the definition, in fp64: between each two neighbours, at, around and beside the middle.
TEST(Bf16, RoundsToTheNearestAndOfTwoToTheEvenOne) {
  constexpr std::uint32_t infinity = 0x7f80;
  for (const std::uint32_t sign : {0U, 0x8000U}) {
    for (std::uint32_t low = 0; low < infinity; ++low) {
      // Infinity stands for the number that would be next.
      const double below = to_float(bf16(low));
      const double above = low + 1 < infinity ? static_cast<double>(to_float(bf16(low + 1))) : 0x1p128;
      const auto between = [&](std::uint32_t part) {
        return std::bit_cast<float>(((sign | low) << 16U) + part);
      };
      for (const std::uint32_t part : {0U, 1U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
        const double value = std::abs(static_cast<double>(between(part)));
        const double to_below = value - below;
        const double to_above = above - value;
        const bool up = to_above < to_below || (to_above == to_below && low % 2 == 1);
        ASSERT_EQ(from_float<Bf16>(between(part)).bits, sign | (low + (up ? 1U : 0U))) << low << " " << part;
      }
    }
  }
}

TEST(Bf16, KeepsWhatIsNoNumber) {
  EXPECT_TRUE(std::isnan(stored<Bf16>(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(stored<Bf16>(std::bit_cast<float>(0x7f800001U))));  // all its bits are lower ones
  EXPECT_TRUE(std::isnan(stored<Bf16>(std::bit_cast<float>(0xffffffffU))));
  EXPECT_EQ(stored<Bf16>(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_EQ(stored<Bf16>(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::signbit(stored<Bf16>(-0.0F)));
}

TEST(Bf16, KnowsItsLargestZero) {
  EXPECT_EQ(stored<Bf16>(largest_zero<Bf16>), 0);
  EXPECT_GT(stored<Bf16>(std::nextafter(largest_zero<Bf16>, 1.0F)), 0);
  EXPECT_EQ(stored<float>(largest_zero<float>), 0);
  EXPECT_GT(stored<float>(std::nextafter(largest_zero<float>, 1.0F)), 0);
}

TEST(Element, NamesItsTypeAndSize) {
  for (const Element element : {Element::f32, Element::bf16}) {
    with_element(element, [&](auto value) { EXPECT_EQ(sizeof(value), size_of(element)); });
  }
}

}  // namespace
}  // namespace lockstep
