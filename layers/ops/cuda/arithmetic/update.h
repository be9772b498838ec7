#pragma once

#include <cstdint>

#include "layers/ops/update.h"

// Optimizers, parameter by parameter.
namespace lockstep::cuda {

// buffer: null where there is no momentum.
struct SgdUpdate {
  float* parameters;
  const float* gradients;
  float* buffer;
  bool nesterov;
  SgdScalars scalars;

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const {
    if (buffer == nullptr) {
      update_plain(parameters[i], gradients[i], scalars);
    } else if (nesterov) {
      update_with_nesterov(parameters[i], gradients[i], buffer[i], scalars);
    } else {
      update_with_momentum(parameters[i], gradients[i], buffer[i], scalars);
    }
  }
};

struct AdamWUpdate {
  float* parameters;
  const float* gradients;
  float* mean;
  float* square;
  AdamWScalars scalars;

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const {
    update_adamw(parameters[i], gradients[i], mean[i], square[i], scalars);
  }
};

}  // namespace lockstep::cuda
