#pragma once

#include <cmath>

#include "comm/base/host_device.h"
#include "layers/ops/activation.h"
#include "layers/tensor/element.h"

// What batch normalization (norm.h) does with one element, the same on every device. Its channel's mean,
// scale and shift are numbers side by side: in a struct they keep g++ from vectorizing.
namespace lockstep::norm {

LOCKSTEP_HOST_DEVICE inline float normalized(float x, float mean, float scale, float shift) {
  return std::fma(x - mean, scale, shift);
}

// dy behind the normalization's own ReLU, whose mask is recomputed from x, or dy itself.
template <bool masked, class E>
LOCKSTEP_HOST_DEVICE float dz_of(E dy, E x, float mean, float scale, float shift) {
  if constexpr (!masked) return to_float(dy);
  return normalized(to_float(x), mean, scale, shift) > largest_zero<E> ? to_float(dy) : 0.0F;
}

// What the whole group's sums make of a channel: dx = scale · (dz − mean_dz + (x − mean) · slope).
struct GroupTerms {
  float mean_dz, slope;
};
LOCKSTEP_HOST_DEVICE inline GroupTerms group_terms(double dz, double dz_xhat, double count,
                                                   float inverse_deviation) {
  return {static_cast<float>(dz / count),
          static_cast<float>(-static_cast<double>(inverse_deviation) * dz_xhat / count)};
}

LOCKSTEP_HOST_DEVICE inline float dx_of(float dz, float x, float mean, float scale, float mean_dz,
                                        float slope) {
  return scale * std::fma(x - mean, slope, dz - mean_dz);
}

}  // namespace lockstep::norm
