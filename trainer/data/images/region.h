#pragma once

#include <cstdint>
#include <functional>

#include "trainer/data/images/image.h"

namespace lockstep {

// A rectangle of a picture, in its pixels.
struct Region {
  std::int64_t top = 0, left = 0;
  std::int64_t height = 0, width = 0;
  bool operator==(const Region&) const = default;
};

// A region of a picture of so many rows and columns; it lies inside of it and has a pixel at least.
using ChooseRegion = std::function<Region(std::int64_t height, std::int64_t width)>;

// The region alone.
Image cut(const Image& image, const Region& region);

// The region, scaled to `height` × `width` whatever its proportions: torchvision's resized_crop, to the bit.
Image resized_cut(const Image& image, const Region& region, std::int64_t height, std::int64_t width);

}  // namespace lockstep
