#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "comm/base/error.h"
#include "layers/tensor/shape.h"

namespace lockstep {

// How many windows of `size` fit along a side of length `side`: ⌊(side + 2·padding − size) / stride⌋ + 1.
// Throws UsageError naming the layer and its input where not even one does.
inline std::int64_t windows(std::string_view type, const std::string& name, const SampleShape& input,
                            std::int64_t side, std::int64_t size, std::int64_t stride, std::int64_t padding) {
  if (side + 2 * padding < size) {
    throw UsageError(
        fmt::format("layer '{}' ({}): a {}x{} window does not fit into its input {} with padding {}", name,
                    type, size, size, to_string(input), padding));
  }
  return (side + 2 * padding - size) / stride + 1;
}

}  // namespace lockstep
