#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "layers/tensor/shape.h"
#include "trainer/data/dataset.h"

namespace lockstep {

// Raw images of one shape.
struct ImageArray {
  std::int64_t count = 0;
  SampleShape shape;
  std::vector<std::uint8_t> pixels;  // count × height × width × channels
};

// Holds them all. `labels`: one an image, below `classes`; without any, every label is -1.
std::shared_ptr<const Dataset> make_images_in_memory(ImageArray images, std::vector<std::uint8_t> labels,
                                                     std::int64_t classes);

}  // namespace lockstep
