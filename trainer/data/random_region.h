#pragma once

#include <cstdint>

#include "layers/tensor/random.h"
#include "trainer/data/images/region.h"

namespace lockstep {

struct Bounds {
  double least, most;
};

// A random region of a picture of height × width pixels, torchvision's RandomResizedCrop: its area is uniform
// in `scale` times the picture's, the logarithm of its width / height uniform in that of `ratio`, its place
// uniform. Where ten tries do not fit, the largest middle whose proportions are within `ratio`. A pure
// function of its arguments.
Region random_region(const Random& random, std::int64_t epoch, std::int64_t index, Bounds scale, Bounds ratio,
                     std::int64_t height, std::int64_t width);

}  // namespace lockstep
