#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/ops/norm.h"

namespace lockstep {

// The statistics of one group and layer, ready for the kernels: four arrays of `channels` floats.
class AffineStorage {
 public:
  explicit AffineStorage(std::int64_t channels)
      : channels_(channels), values_(static_cast<std::size_t>(4 * channels)) {}

  // Empty gamma and beta: 1 and 0. variance: biased; eps inside the root.
  void set(std::span<const double> mean, std::span<const double> variance, double eps, const float* gamma,
           const float* beta);
  norm::Affine affine() const;

 private:
  std::span<float> part(std::size_t number) {
    const auto channels = static_cast<std::size_t>(channels_);
    return std::span(values_).subspan(number * channels, channels);
  }
  std::int64_t channels_;
  std::vector<float> values_;
};

}  // namespace lockstep
