#include "layers/tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lockstep {

std::string to_string(const SampleShape& shape) {
  if (shape.height == 1 && shape.width == 1) return fmt::format("{}", shape.channels);
  return fmt::format("{}x{}x{}", shape.height, shape.width, shape.channels);
}

std::int64_t elements(const Dims& dims) {
  std::int64_t product = 1;
  for (const std::int64_t dim : dims) product *= dim;
  return product;
}

std::string to_string(const Dims& dims) {
  return fmt::format("[{}]", fmt::join(dims, ", "));
}

}  // namespace lockstep
