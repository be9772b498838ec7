#include "trainer/data/random_region.h"

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

double between(Bounds bounds, std::uint32_t word) {
  return bounds.least + (bounds.most - bounds.least) * Random::uniform(word);
}

// 0 … n − 1
std::int64_t below(std::int64_t n, std::uint32_t word) {
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(word) * static_cast<std::uint64_t>(n)) >> 32U);
}

Region middle(Bounds ratio, std::int64_t height, std::int64_t width) {
  const auto rows = static_cast<double>(height);
  const auto columns = static_cast<double>(width);
  Region region{0, 0, height, width};
  if (columns / rows < ratio.least) region.height = std::llround(columns / ratio.least);
  if (columns / rows > ratio.most) region.width = std::llround(rows * ratio.most);
  region.height = std::clamp<std::int64_t>(region.height, 1, height);
  region.width = std::clamp<std::int64_t>(region.width, 1, width);
  region.top = (height - region.height) / 2;
  region.left = (width - region.width) / 2;
  return region;
}

}  // namespace

Region random_region(const Random& random, std::int64_t epoch, std::int64_t index, Bounds scale, Bounds ratio,
                     std::int64_t height, std::int64_t width) {
  constexpr std::uint64_t tries = 10;
  const double area = static_cast<double>(height) * static_cast<double>(width);
  for (std::uint64_t i = 0; i < tries; ++i) {
    const auto words =
        random.bits(static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(index) * tries + i);
    const double wanted = area * between(scale, words[0]);
    const double proportion = std::exp(between({std::log(ratio.least), std::log(ratio.most)}, words[1]));
    Region region;
    region.height = std::llround(std::sqrt(wanted / proportion));
    region.width = std::llround(std::sqrt(wanted * proportion));
    if (region.height < 1 || region.width < 1 || region.height > height || region.width > width) continue;
    region.top = below(height - region.height + 1, words[2]);
    region.left = below(width - region.width + 1, words[3]);
    return region;
  }
  return middle(ratio, height, width);
}

}  // namespace lockstep
