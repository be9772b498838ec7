#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "trainer/data/images/image.h"

namespace lockstep {

// Whether a file begins as one of PNG or JPEG does, whatever its name. No where it cannot be read.
bool is_picture(const std::filesystem::path& path);

// Throws DataError as decode_png and decode_jpeg do, or with the system's reason.
Image read_picture(const std::filesystem::path& path, std::int64_t max_mib);

}  // namespace lockstep
