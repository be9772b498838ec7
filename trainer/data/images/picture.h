#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "trainer/data/images/image.h"
#include "trainer/data/images/region.h"

namespace lockstep {

// Whether a file begins as one of PNG or JPEG does, whatever its name. No where it cannot be read.
bool is_picture(const std::filesystem::path& path);

// Throws DataError as decode_png and decode_jpeg do, or with the system's reason.
Image read_picture(const std::filesystem::path& path, std::int64_t max_mib);

// The region that `choose` answers for the picture's size, scaled to `shape`. JPEG is decoded at 1/2, 1/4 or
// 1/8 of its size where the region is larger than `shape` even then, and the region's edges rounded to pixels
// of that.
Image read_region(const std::filesystem::path& path, std::int64_t max_mib, const ChooseRegion& choose,
                  const SampleShape& shape);

}  // namespace lockstep
