#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "trainer/data/images/image.h"

namespace lockstep {

// Whether a file begins as one of PNG does.
bool is_png(std::span<const std::uint8_t> file);

// A PNG file of any kind, as 8 bits a value: gray where the file is, else red, green and blue. Transparency,
// gamma and color spaces are ignored, as other loaders of data sets do; of 16 bits the upper 8 are taken.
// Throws DataError naming the file (`name`) and what is wrong with it; no more memory is used than such a
// file can fill, nor than `max_mib`.
Image decode_png(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib);

}  // namespace lockstep
