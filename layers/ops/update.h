#pragma once

#include <cmath>

#include "comm/base/host_device.h"

// What an optimizer does with one parameter, the same on every device: the formulas of trainer/optim, all in
// fp32. p: the parameter; g: its gradient.
namespace lockstep {

struct SgdScalars {
  float lr, momentum, decay;
};

// p ← p − lr·(g + decay·p)
LOCKSTEP_HOST_DEVICE inline void update_plain(float& p, float g, const SgdScalars& s) {
  p -= s.lr * (g + s.decay * p);
}

// buffer ← momentum·buffer + d, d = g + decay·p;  p ← p − lr·buffer
LOCKSTEP_HOST_DEVICE inline void update_with_momentum(float& p, float g, float& buffer, const SgdScalars& s) {
  buffer = s.momentum * buffer + (g + s.decay * p);
  p -= s.lr * buffer;
}

// the same, but p ← p − lr·(d + momentum·buffer)
LOCKSTEP_HOST_DEVICE inline void update_with_nesterov(float& p, float g, float& buffer, const SgdScalars& s) {
  const float d = g + s.decay * p;
  buffer = s.momentum * buffer + d;
  p -= s.lr * (d + s.momentum * buffer);
}

// What one step of AdamW multiplies and divides by, rounded once.
struct AdamWScalars {
  float keep;                   // 1 − lr·weight_decay
  float take_mean;              // 1 − beta1
  float keep_square;            // beta2
  float take_square;            // 1 − beta2
  float step_size;              // lr / (1 − beta1^t)
  float square_root_of_square;  // √(1 − beta2^t)
  float eps;
};

LOCKSTEP_HOST_DEVICE inline void update_adamw(float& p, float g, float& mean, float& square,
                                              const AdamWScalars& s) {
  mean += (g - mean) * s.take_mean;
  square = s.keep_square * square + s.take_square * (g * g);
  const float divisor = std::sqrt(square) / s.square_root_of_square + s.eps;
  p = p * s.keep - s.step_size * (mean / divisor);
}

}  // namespace lockstep
