#include "trainer/data/images/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <vector>

namespace lockstep {
namespace {

constexpr int bits = 32 - 8 - 2;  // of a weight's fraction; a sum of pixels times weights fits 32 bits

// The pixels [first, first + weights.size()) of a side that make one output, and how much each counts.
struct Window {
  std::size_t first = 0;
  std::vector<std::int32_t> weights;
};

Window window_of(std::int64_t output, std::int64_t size, std::int64_t scaled) {
  const double scale = static_cast<double>(size) / static_cast<double>(scaled);
  const double support = std::max(scale, 1.0);
  const double center = (static_cast<double>(output) + 0.5) * scale;
  const auto first = std::max(std::int64_t{0}, std::int64_t{std::lround(center - support)});
  const auto end = std::min(size, std::int64_t{std::lround(center + support)});

  std::vector<double> triangle;
  double sum = 0;
  for (std::int64_t i = first; i < end; ++i) {
    const double distance = std::abs((static_cast<double>(i) - center + 0.5) * (1.0 / support));
    triangle.push_back(std::max(0.0, 1.0 - distance));
    sum += triangle.back();
  }
  Window window{.first = static_cast<std::size_t>(first), .weights = {}};
  for (const double height : triangle) {
    window.weights.push_back(static_cast<std::int32_t>(std::lround(height / sum * (1 << bits))));
  }
  return window;
}

std::vector<Window> windows_of(const Side& side, std::int64_t size) {
  std::vector<Window> windows;
  for (std::int64_t i = 0; i < side.count; ++i)
    windows.push_back(window_of(side.first + i, size, side.scaled));
  return windows;
}

// A weighted sum of pixels that stand `stride` bytes apart.
std::uint8_t weigh(const std::uint8_t* pixel, std::size_t stride, const Window& window) {
  std::int32_t sum = 1 << (bits - 1);
  for (const std::int32_t weight : window.weights) {
    sum += weight * *pixel;
    pixel += stride;
  }
  return static_cast<std::uint8_t>(std::clamp(sum >> bits, 0, 255));
}

// Of rows [begin, end) alone.
Image resample_columns(const Image& image, const Side& side, std::size_t begin, std::size_t end) {
  const auto channels = static_cast<std::size_t>(image.shape.channels);
  const auto row_bytes = static_cast<std::size_t>(image.shape.width) * channels;
  const std::vector<Window> windows = windows_of(side, image.shape.width);
  Image result{{static_cast<std::int64_t>(end - begin), side.count, image.shape.channels}, {}};
  result.pixels.reserve(static_cast<std::size_t>(result.shape.elements()));
  for (std::size_t row = begin; row < end; ++row) {
    for (const Window& window : windows) {
      const std::uint8_t* const first = image.pixels.data() + row * row_bytes + window.first * channels;
      for (std::size_t c = 0; c < channels; ++c) result.pixels.push_back(weigh(first + c, channels, window));
    }
  }
  return result;
}

Image resample_rows(const Image& image, const std::vector<Window>& windows) {
  const auto row_bytes = static_cast<std::size_t>(image.shape.width * image.shape.channels);
  Image result{{std::ssize(windows), image.shape.width, image.shape.channels}, {}};
  result.pixels.reserve(static_cast<std::size_t>(result.shape.elements()));
  for (const Window& window : windows) {
    const std::uint8_t* const first = image.pixels.data() + window.first * row_bytes;
    for (std::size_t i = 0; i < row_bytes; ++i) result.pixels.push_back(weigh(first + i, row_bytes, window));
  }
  return result;
}

}  // namespace

Image resample(const Image& image, const Side& rows, const Side& columns) {
  // A long, narrow picture has far more rows than the middle of it needs.
  std::vector<Window> windows = windows_of(rows, image.shape.height);
  const std::size_t begin = windows.front().first;
  const std::size_t end = windows.back().first + windows.back().weights.size();
  for (Window& window : windows) window.first -= begin;
  return resample_rows(resample_columns(image, columns, begin, end), windows);
}

}  // namespace lockstep
