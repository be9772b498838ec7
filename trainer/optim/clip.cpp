#include "trainer/optim/clip.h"

#include <cmath>

#include "layers/ops/device.h"

namespace lockstep {

std::optional<double> clip_gradients(const OptimizerConfig& config, std::span<float> gradients,
                                     const Device& device) {
  constexpr double least_divisor = 1e-6;
  if (config.clip_norm == 0) return std::nullopt;
  const double norm = std::sqrt(device.sum_of_squares(gradients));
  const double factor = config.clip_norm / (norm + least_divisor);
  if (factor < 1) device.scale(gradients, static_cast<float>(factor));
  return norm;
}

}  // namespace lockstep
