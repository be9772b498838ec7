#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "trainer/data/images/image.h"

namespace lockstep {

// Whether a file begins as one of JPEG does.
bool is_jpeg(std::span<const std::uint8_t> file);

// Rows, columns and channels that decode_jpeg will answer, as the file's header has them. Throws DataError.
SampleShape jpeg_shape(std::span<const std::uint8_t> file, const std::string& name);

// A JPEG file, baseline or progressive: gray where the file is, else red, green and blue. An orientation in
// its EXIF data is not applied. Throws DataError naming the file (`name`) and what is wrong with it, also
// where pixels could be guessed; no more memory is used than such a file can fill, nor than a few times
// `max_mib`. With `shrink` 2, 4 or 8 its sides are so many times smaller, rounded up, which is much quicker.
Image decode_jpeg(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib,
                  std::int64_t shrink = 1);

}  // namespace lockstep
