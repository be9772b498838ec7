#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "layers/tensor/shape.h"

namespace lockstep {

// Throws DataError, naming the file, where a picture of this shape cannot be in a file of `bytes` bytes, each
// of which stands for at most `most_pixels` pixels, or has more bytes than data.max_mib allows once it is
// decoded. To be asked before there is any memory for it.
void check_picture(const std::string& name, const SampleShape& shape, std::size_t bytes,
                   std::int64_t most_pixels, std::int64_t max_mib);

}  // namespace lockstep
