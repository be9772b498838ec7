#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/loop/inference.h"

namespace lockstep {

struct Guess {
  std::int64_t label = 0;
  double probability = 0;
};

// The `top` likeliest classes of one image, likeliest first (of equals, the lower label). pixels: height ×
// width × channels, 0 … 255.
std::vector<Guess> classify(Trained& trained, const Transform& transform,
                            std::span<const std::uint8_t> pixels, std::size_t top);

}  // namespace lockstep
