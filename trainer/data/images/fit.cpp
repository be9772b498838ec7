#include "trainer/data/images/fit.h"

#include <fmt/format.h>

#include <utility>

#include "comm/base/error.h"
#include "trainer/data/images/luma.h"
#include "trainer/data/images/resample.h"

namespace lockstep {
namespace {

std::vector<std::uint8_t> to_gray(const std::vector<std::uint8_t>& colors) {
  std::vector<std::uint8_t> gray(colors.size() / 3);
  for (std::size_t i = 0; i < gray.size(); ++i) gray[i] = luma(&colors[3 * i]);
  return gray;
}

std::vector<std::uint8_t> to_colors(const std::vector<std::uint8_t>& gray) {
  std::vector<std::uint8_t> colors;
  colors.reserve(3 * gray.size());
  for (const std::uint8_t value : gray) colors.insert(colors.end(), 3, value);
  return colors;
}

// A side scaled to `scaled`, of which `kept` in the middle stay. Half a pixel goes to the even side.
Side middle(std::int64_t scaled, std::int64_t kept) {
  const std::int64_t rest = scaled - kept;
  const std::int64_t half = rest / 2;
  return {.scaled = scaled, .first = half + (rest & half & 1), .count = kept};
}

// A side, or so many pixels more that `kept` of them are the side.
std::int64_t with_margin(std::int64_t side, double kept) {
  return static_cast<std::int64_t>(static_cast<double>(side) / kept);
}

}  // namespace

Image with_channels(Image image, std::int64_t channels) {
  if (image.shape.channels == channels) return image;
  image.shape.channels = channels;
  image.pixels = channels == 1 ? to_gray(image.pixels) : to_colors(image.pixels);
  return image;
}

Image fit(Image image, const SampleShape& shape, const std::string& name, double kept) {
  if (shape.channels != 1 && shape.channels != 3) {
    throw DataError(
        fmt::format("{}: is a picture, of 1 or 3 channels, but the model was trained on images of {}", name,
                    to_string(shape)));
  }
  image = with_channels(std::move(image), shape.channels);
  const auto [height, width, channels] = image.shape;
  std::int64_t scaled_height = with_margin(shape.height, kept);
  std::int64_t scaled_width = with_margin(shape.width, kept);
  if (width * scaled_height >= height * scaled_width) {
    scaled_width = width * scaled_height / height;
  } else {
    scaled_height = height * scaled_width / width;
  }
  return resample(image, middle(scaled_height, shape.height), middle(scaled_width, shape.width));
}

}  // namespace lockstep
