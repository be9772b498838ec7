#include "trainer/data/images/jitter.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "trainer/data/images/luma.h"

namespace lockstep {
namespace {

// Between two values, or beyond, cut to 0 … 255 and towards 0.
std::uint8_t blend(int from, std::uint8_t to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F));
}

// Rounded to the nearest whole number.
int mean_gray(std::span<const std::uint8_t> pixels, std::int64_t channels) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < pixels.size(); i += static_cast<std::size_t>(channels)) {
    sum += channels == 3 ? luma(&pixels[i]) : pixels[i];
  }
  const std::size_t count = pixels.size() / static_cast<std::size_t>(channels);
  return static_cast<int>(std::lround(static_cast<double>(sum) / static_cast<double>(count)));
}

// What Pillow keeps in floats between two roundings to whole numbers is in floats here, the rest in doubles.
struct Hsv {
  int hue = 0, saturation = 0, value = 0;  // each 0 … 255
};

Hsv to_hsv(const std::uint8_t* color) {
  const int red = color[0];
  const int green = color[1];
  const int blue = color[2];
  const int most = std::max({red, green, blue});
  const int least = std::min({red, green, blue});
  if (most == least) return {0, 0, most};
  const auto range = static_cast<float>(most - least);
  const auto below = [&](int value) { return static_cast<float>(most - value) / range; };
  float sixth = below(blue) - below(green);
  if (red != most) {
    sixth =
        static_cast<float>(green == most ? 2.0 + below(red) - below(blue) : 4.0 + below(green) - below(red));
  }
  const auto hue = static_cast<float>(std::fmod(sixth / 6.0 + 1.0, 1.0));
  const float saturation = range / static_cast<float>(most);
  return {static_cast<int>(hue * 255.0), static_cast<int>(saturation * 255.0), most};
}

void from_hsv(const Hsv& hsv, std::uint8_t* color) {
  const double turn = hsv.hue * 6.0 / 255.0;
  const auto part = static_cast<float>(turn - std::floor(turn));
  const auto saturation = static_cast<float>(hsv.saturation / 255.0);
  const auto scaled = [&](double factor) {
    return static_cast<std::uint8_t>(std::lround(hsv.value * factor));
  };
  const auto full = static_cast<std::uint8_t>(hsv.value);
  const std::uint8_t least = scaled(1.0 - saturation);
  const std::uint8_t falling = scaled(1.0 - saturation * part);
  const std::uint8_t rising = scaled(1.0 - saturation * (1.0 - part));
  using Color = std::array<std::uint8_t, 3>;
  const std::array<Color, 6> colors{Color{full, rising, least}, {falling, full, least},
                                    {least, full, rising},      {least, falling, full},
                                    {rising, least, full},      {full, least, falling}};
  std::ranges::copy(colors[static_cast<std::size_t>(turn) % colors.size()], color);
}

}  // namespace

void adjust_brightness(std::span<std::uint8_t> pixels, float factor) {
  for (std::uint8_t& pixel : pixels) pixel = blend(0, pixel, factor);
}

void adjust_contrast(std::span<std::uint8_t> pixels, std::int64_t channels, float factor) {
  const int mean = mean_gray(pixels, channels);
  for (std::uint8_t& pixel : pixels) pixel = blend(mean, pixel, factor);
}

void adjust_saturation(std::span<std::uint8_t> pixels, float factor) {
  for (std::size_t i = 0; i + 2 < pixels.size(); i += 3) {
    const std::uint8_t gray = luma(&pixels[i]);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      pixels[i + channel] = blend(gray, pixels[i + channel], factor);
    }
  }
}

void adjust_hue(std::span<std::uint8_t> pixels, double shift) {
  const int steps = static_cast<int>(shift * 255.0);
  for (std::size_t i = 0; i + 2 < pixels.size(); i += 3) {
    Hsv hsv = to_hsv(&pixels[i]);
    hsv.hue = (hsv.hue + steps + 256) % 256;
    from_hsv(hsv, &pixels[i]);
  }
}

}  // namespace lockstep
