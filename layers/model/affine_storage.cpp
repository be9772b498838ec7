#include "layers/model/affine_storage.h"

#include <cmath>

namespace lockstep {

void AffineStorage::set(std::span<const double> mean, std::span<const double> variance, double eps,
                        const float* gamma, const float* beta) {
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double inverse_deviation = 1.0 / std::sqrt(variance[c] + eps);
    const double scale =
        gamma == nullptr ? inverse_deviation : static_cast<double>(gamma[c]) * inverse_deviation;
    part(0)[c] = static_cast<float>(mean[c]);
    part(1)[c] = static_cast<float>(inverse_deviation);
    part(2)[c] = static_cast<float>(scale);
    part(3)[c] = beta == nullptr ? 0.0F : beta[c];
  }
}

norm::Affine AffineStorage::affine() const {
  const std::span all(values_);
  const auto channels = static_cast<std::size_t>(channels_);
  return {.mean = all.subspan(0, channels),
          .inverse_deviation = all.subspan(channels, channels),
          .scale = all.subspan(2 * channels, channels),
          .shift = all.subspan(3 * channels, channels)};
}

}  // namespace lockstep
