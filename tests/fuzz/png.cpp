// A picture (PNG), and what fits a network of it.
#include "trainer/data/images/png.h"

#include <span>
#include <utility>

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"
#include "trainer/data/images/fit.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t max_mib = 1;
  constexpr SampleShape network{9, 11, 3};
  try {
    Image image = decode_png(std::span(data, size), "a", max_mib);
    fuzz::require(image.shape.channels == 1 || image.shape.channels == 3, "a picture is gray or has colors");
    fuzz::require(image.pixels.size() == static_cast<std::size_t>(image.shape.elements()),
                  "pixels are those of the shape");
    fuzz::require(
        fit(std::move(image), network, "a").pixels.size() == static_cast<std::size_t>(network.elements()),
        "it fits");
  } catch (const DataError&) {
  }
  return 0;
}
