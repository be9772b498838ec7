#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "trainer/data/images/image.h"

namespace lockstep {

// Whether a file begins as one of JPEG does.
bool is_jpeg(std::span<const std::uint8_t> file);

// A JPEG file, baseline or progressive: gray where the file is, else red, green and blue. An orientation in
// its EXIF data is not applied. Throws DataError naming the file (`name`) and what is wrong with it, also
// where pixels could be guessed; no more memory is used than such a file can fill, nor than a few times
// `max_mib`.
Image decode_jpeg(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib);

}  // namespace lockstep
