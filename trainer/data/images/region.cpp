#include "trainer/data/images/region.h"

#include <stdexcept>

#include "trainer/data/images/resample.h"

namespace lockstep {

Image cut(const Image& image, const Region& region) {
  const auto [height, width, channels] = image.shape;
  if (region.top < 0 || region.left < 0 || region.height < 1 || region.width < 1 ||
      region.top + region.height > height || region.left + region.width > width) {
    throw std::out_of_range("cut: a region outside of its picture");
  }
  Image result{{region.height, region.width, channels}, {}};
  result.pixels.reserve(static_cast<std::size_t>(result.shape.elements()));
  for (std::int64_t row = region.top; row < region.top + region.height; ++row) {
    const auto first = image.pixels.begin() + (row * width + region.left) * channels;
    result.pixels.insert(result.pixels.end(), first, first + region.width * channels);
  }
  return result;
}

Image resized_cut(const Image& image, const Region& region, std::int64_t height, std::int64_t width) {
  return resample(cut(image, region), {.scaled = height, .first = 0, .count = height},
                  {.scaled = width, .first = 0, .count = width});
}

}  // namespace lockstep
