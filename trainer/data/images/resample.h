#pragma once

#include <cstdint>

#include "trainer/data/images/image.h"

namespace lockstep {

// One side of a picture scaled to `scaled` pixels, of which [first, first + count) are wanted.
struct Side {
  std::int64_t scaled = 0;
  std::int64_t first = 0, count = 0;
};

// Bilinear resampling; where it makes a picture smaller, over all pixels that an output covers (a triangle
// twice its width), so that nothing flickers. In integers, columns before rows, each rounded to 8 bits: the
// bits of Pillow's resize with BILINEAR. A side that keeps its size stays as it is.
Image resample(const Image& image, const Side& rows, const Side& columns);

}  // namespace lockstep
