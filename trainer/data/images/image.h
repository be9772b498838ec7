#pragma once

#include <cstdint>
#include <vector>

#include "layers/tensor/shape.h"

namespace lockstep {

// A decoded picture: height × width × channels, 0 … 255. One channel is gray, three are red, green and blue.
struct Image {
  SampleShape shape;
  std::vector<std::uint8_t> pixels;
};

}  // namespace lockstep
