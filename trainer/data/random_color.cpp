#include "trainer/data/random_color.h"

#include <algorithm>
#include <array>
#include <utility>

#include "trainer/data/images/jitter.h"

namespace lockstep {
namespace {

// 1 ± amount, and not below 0.
float factor(double amount, std::uint32_t word) {
  const double least = std::max(0.0, 1 - amount);
  return static_cast<float>(least + (1 + amount - least) * Random::uniform(word));
}

}  // namespace

RandomColor::RandomColor(AugmentConfig config, std::int64_t channels, std::uint64_t seed)
    : config_(std::move(config)), channels_(channels), amounts_(seed, "color"), order_(seed, "color order") {}

void RandomColor::apply(std::int64_t epoch, std::int64_t index, std::span<std::uint8_t> pixels) const {
  const auto a = static_cast<std::uint64_t>(epoch);
  const auto b = static_cast<std::uint64_t>(index);
  const auto amounts = amounts_.bits(a, b);
  const auto draws = order_.bits(a, b);
  enum : std::uint8_t { brightness, contrast, saturation, hue };
  std::array<std::uint8_t, 4> order{brightness, contrast, saturation, hue};
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[draws[i - 1] % i]);
  for (const std::uint8_t change : order) {
    switch (change) {
      case brightness:
        if (config_.brightness > 0) adjust_brightness(pixels, factor(config_.brightness, amounts[0]));
        break;
      case contrast:
        if (config_.contrast > 0) adjust_contrast(pixels, channels_, factor(config_.contrast, amounts[1]));
        break;
      case saturation:
        if (config_.saturation > 0) adjust_saturation(pixels, factor(config_.saturation, amounts[2]));
        break;
      default:
        if (config_.hue > 0) adjust_hue(pixels, config_.hue * (2.0 * Random::uniform(amounts[3]) - 1));
    }
  }
}

}  // namespace lockstep
