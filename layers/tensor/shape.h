#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

// One sample's shape. Activations of a shard are stored NHWC: sample, row, column, channel, channel fastest.
// What has no image plane (the output of a linear layer) has height and width 1.
struct SampleShape {
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t channels = 1;

  std::int64_t elements() const { return height * width * channels; }
  std::int64_t pixels() const { return height * width; }
  bool operator==(const SampleShape&) const = default;
};

// "28x28x1", or "128" where there is no image plane.
std::string to_string(const SampleShape& shape);

// Dimensions of a parameter or buffer, in PyTorch's order (convolution weights: out, in / groups, height,
// width).
using Dims = std::vector<std::int64_t>;
std::int64_t elements(const Dims& dims);
std::string to_string(const Dims& dims);  // "[16, 3, 3, 3]"

}  // namespace lockstep
