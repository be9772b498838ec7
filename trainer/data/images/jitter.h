#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lockstep {

// Changes of an image's colors, in order. Pixels are 0 … 255, `channels` values together; saturation and hue
// need three. The formulas are Pillow's, to the bit (ImageEnhance, Image.convert("HSV")), which torchvision's
// ColorJitter uses.

// Factor 1 changes nothing; 0 gives black, the image's mean gray, or the image without its colors.
void adjust_brightness(std::span<std::uint8_t> pixels, float factor);
void adjust_contrast(std::span<std::uint8_t> pixels, std::int64_t channels, float factor);
void adjust_saturation(std::span<std::uint8_t> pixels, float factor);
// shift: of a whole turn of the color circle, -0.5 to 0.5; 0 changes nothing but roundings.
void adjust_hue(std::span<std::uint8_t> pixels, double shift);

}  // namespace lockstep
