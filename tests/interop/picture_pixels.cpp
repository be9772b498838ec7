// Pixels of pictures as lockstep sees them, of one picture behind the other:
// interop_pictures WHAT HEIGHT WIDTH CHANNELS PICTURE... >PIXELS
// WHAT: kept=SHARE, as evaluation and `predict` see them; region=TOP,LEFT,HEIGHT,WIDTH, such a random crop;
// or brightness, contrast, saturation or hue = by how much that changes what `predict` sees.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "trainer/data/dataset.h"
#include "trainer/data/images/jitter.h"
#include "trainer/data/images/picture.h"

namespace lockstep {
namespace {

constexpr std::int64_t max_mib = 1024;

Region region_of(const std::string& text) {
  std::istringstream stream(text);
  std::array<std::int64_t, 4> sides{};
  char comma = 0;
  for (std::int64_t& side : sides) stream >> side >> comma;
  return {sides[0], sides[1], sides[2], sides[3]};
}

std::vector<std::uint8_t> evaluated(const char* file, const SampleShape& shape, double kept) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.elements()));
  read_images(file, shape, max_mib, kept)->get(0, pixels);
  return pixels;
}

std::vector<std::uint8_t> see(const char* file, const SampleShape& shape, const std::string& what,
                              const std::string& how) {
  if (what == "region") {
    const auto choose = [&](std::int64_t, std::int64_t) { return region_of(how); };
    return read_region(file, max_mib, choose, shape).pixels;
  }
  const double amount = std::stod(how);
  if (what == "kept") return evaluated(file, shape, amount);
  std::vector<std::uint8_t> pixels = evaluated(file, shape, 1);
  if (what == "brightness") adjust_brightness(pixels, static_cast<float>(amount));
  if (what == "contrast") adjust_contrast(pixels, shape.channels, static_cast<float>(amount));
  if (what == "saturation") adjust_saturation(pixels, static_cast<float>(amount));
  if (what == "hue") adjust_hue(pixels, amount);
  return pixels;
}

}  // namespace
}  // namespace lockstep

int main(int count, char** arguments) {
  using namespace lockstep;
  if (count < 6) {
    std::cerr << "usage: interop_pictures WHAT HEIGHT WIDTH CHANNELS PICTURE...\n";
    return 2;
  }
  const std::string what = arguments[1];
  const std::size_t equals = std::min(what.find('='), what.size() - 1);
  const SampleShape shape{std::atoll(arguments[2]), std::atoll(arguments[3]), std::atoll(arguments[4])};
  try {
    for (int i = 5; i < count; ++i) {
      const auto pixels = see(arguments[i], shape, what.substr(0, equals), what.substr(equals + 1));
      std::cout.write(reinterpret_cast<const char*>(pixels.data()),
                      static_cast<std::streamsize>(pixels.size()));
    }
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.code());
  }
  return 0;
}
