#pragma once

#include <span>
#include <string>
#include <utility>

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"
#include "trainer/data/images/fit.h"

namespace lockstep::fuzz {

// A picture of some format, and what fits a network of it.
inline void try_picture(Image (*decode)(std::span<const std::uint8_t>, const std::string&, std::int64_t),
                        std::span<const std::uint8_t> file) {
  constexpr std::int64_t max_mib = 1;
  constexpr SampleShape network{9, 11, 3};
  try {
    Image image = decode(file, "a", max_mib);
    require(image.shape.channels == 1 || image.shape.channels == 3, "a picture is gray or has colors");
    require(image.pixels.size() == static_cast<std::size_t>(image.shape.elements()),
            "pixels are those of the shape");
    require(fit(std::move(image), network, "a").pixels.size() == static_cast<std::size_t>(network.elements()),
            "it fits");
  } catch (const DataError&) {
  }
}

}  // namespace lockstep::fuzz
