#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <new>
#include <set>

#include "layers/tensor/buffer.h"
#include "layers/tensor/random.h"
#include "layers/tensor/shape.h"

namespace lockstep {
namespace {

TEST(Shape, PrintsAnImagePlaneOnlyWhereThereIsOne) {
  EXPECT_EQ(to_string(SampleShape{28, 14, 3}), "28x14x3");
  EXPECT_EQ(to_string(SampleShape{1, 1, 128}), "128");
  EXPECT_EQ(to_string(SampleShape{1, 4, 2}), "1x4x2");
}

TEST(Shape, CountsElements) {
  EXPECT_EQ((SampleShape{4, 5, 3}.elements()), 60);
  EXPECT_EQ(elements(Dims{16, 3, 5, 5}), 1200);
  EXPECT_EQ(elements(Dims{}), 1);
  EXPECT_EQ(to_string(Dims{16, 3, 3, 3}), "[16, 3, 3, 3]");
}

TEST(BufferTest, IsZeroedAndAligned) {
  for (const std::size_t bytes : {1U, 63U, 64U, 65U, 1000U}) {
    const Buffer buffer(bytes);
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % alignment, 0U);
    for (const std::byte byte : buffer.as<std::byte>()) ASSERT_EQ(byte, std::byte{0});
  }
}

TEST(BufferTest, MayBeEmpty) {
  const Buffer buffer(0);
  EXPECT_TRUE(buffer.as<float>().empty());
}

TEST(BufferTest, MovesItsMemoryAndLeavesNothingBehind) {
  Buffer from(64);
  const std::byte* memory = from.data();
  Buffer to(std::move(from));
  EXPECT_EQ(to.data(), memory);
  EXPECT_EQ(from.size(), 0U);  // NOLINT(bugprone-use-after-move): what is left is what is tested
  from = std::move(to);
  EXPECT_EQ(from.data(), memory);
  EXPECT_EQ(to.as<float>().data(), nullptr);  // NOLINT(bugprone-use-after-move)
}

TEST(BufferTest, ReserveGrowsAndNeverShrinks) {
  Buffer buffer(64);
  const std::byte* memory = buffer.data();
  buffer.reserve(32);
  EXPECT_EQ(buffer.data(), memory);
  buffer.reserve(128);
  EXPECT_EQ(buffer.size(), 128U);
}

TEST(BufferTest, ThrowsWhereThereIsNoMemory) {
  EXPECT_THROW(Buffer{std::numeric_limits<std::size_t>::max()}, std::bad_alloc);
}

// The vectors that the paper's authors publish.
TEST(RandomTest, PhiloxGivesItsPublishedAnswers) {
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomTest, IsAFunctionOfKeyAndPosition) {
  EXPECT_EQ(Random(1, "weights", "fc").bits(5, 6), Random(1, "weights", "fc").bits(5, 6));
}

TEST(RandomTest, EveryPartOfKeyAndPositionMatters) {
  const std::set<std::array<std::uint32_t, 4>> draws{
      Random(1, "weights", "fc").bits(5, 6),
      Random(2, "weights", "fc").bits(5, 6),
      Random(1, "dropout", "fc").bits(5, 6),
      Random(1, "weights", "fc1").bits(5, 6),
      Random(1, "weightsfc").bits(5, 6),
      Random(1, "weights", "fc").bits(6, 5),
      Random(1, "weights", "fc").bits(5),
      Random(1, "weights", "fc").bits(5 + (std::uint64_t{1} << 32), 6),
      Random(1, "weights", "fc").bits(5, 6 + (std::uint64_t{1} << 32)),
  };
  EXPECT_EQ(draws.size(), 9U);
}

TEST(RandomTest, UniformStaysBelowOneAndFillsItsRange) {
  EXPECT_EQ(Random::uniform(0), 0.0F);
  EXPECT_LT(Random::uniform(0xffffffff), 1.0F);
  const Random random(1, "test");
  constexpr int draws = 40000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < draws / 4; ++i) {
    for (const std::uint32_t word : random.bits(static_cast<std::uint64_t>(i))) {
      const auto value = static_cast<double>(Random::uniform(word));
      sum += value;
      squares += value * value;
    }
  }
  EXPECT_NEAR(sum / draws, 0.5, 0.006);  // four standard deviations
  EXPECT_NEAR(squares / draws, 1.0 / 3, 0.006);
}

TEST(RandomTest, BelowCoversItsRangeEvenly) {
  const Random random(1, "test");
  std::array<int, 7> counts{};
  for (std::uint64_t i = 0; i < 7000; ++i) ++counts.at(random.below(7, i));
  for (const int count : counts) EXPECT_NEAR(count, 1000, 120);  // four standard deviations
  EXPECT_EQ(random.below(1, 3), 0U);
}

TEST(RandomTest, NormalIsFiniteAtItsEdgesAndHasTheStandardMoments) {
  constexpr std::uint32_t last = 0xFFFFFFFF;
  EXPECT_NEAR(Random::normal(0, 0), std::sqrt(2 * std::log(0x1p33)), 1e-12);
  EXPECT_NEAR(Random::normal(last, 0), 0, 1e-4);
  EXPECT_NEAR(Random::normal(0, 0x80000000), -Random::normal(0, 0), 1e-12);

  const Random random(1, "normal");
  constexpr int count = 100'000;
  double sum = 0;
  double squares = 0;
  int beyond_two = 0;
  for (int i = 0; i < count; ++i) {
    const auto bits = random.bits(static_cast<std::uint64_t>(i));
    const double value = Random::normal(bits[0], bits[1]);
    sum += value;
    squares += value * value;
    beyond_two += std::abs(value) > 2 ? 1 : 0;
  }
  EXPECT_NEAR(sum / count, 0, 0.01);
  EXPECT_NEAR(squares / count, 1, 0.015);
  EXPECT_NEAR(beyond_two / static_cast<double>(count), 0.0455, 0.002);
}

}  // namespace
}  // namespace lockstep
