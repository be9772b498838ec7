#pragma once

#include "comm/base/host_device.h"

// ReLU as every kernel has it, fused or not.
namespace lockstep {

// max(x, 0); NaN stays NaN.
LOCKSTEP_HOST_DEVICE inline float relu(float x) {
  return x <= 0 ? 0.0F : x;
}

// The gradient behind a ReLU whose output (or input) is y.
LOCKSTEP_HOST_DEVICE inline float relu_gradient(float y, float dy) {
  return y > 0 ? dy : 0.0F;
}

}  // namespace lockstep
