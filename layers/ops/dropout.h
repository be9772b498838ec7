#pragma once

#include <bit>
#include <cstdint>

#include "comm/base/host_device.h"
#include "layers/tensor/element.h"
#include "layers/tensor/random.h"

// What dropout (kernels.h) does with one element, the same on every device.
namespace lockstep {

// Elements of a sample that one draw of random bits serves.
inline constexpr std::int64_t dropout_words = 4;

// Draws for a sample of so many elements.
LOCKSTEP_HOST_DEVICE constexpr std::int64_t dropout_draws(std::int64_t elements) {
  return (elements + dropout_words - 1) / dropout_words;
}

// What the elements that are kept are multiplied by.
LOCKSTEP_HOST_DEVICE constexpr float dropout_scale(float probability) {
  return probability < 1 ? 1 / (1 - probability) : 0;
}

// x or its gradient, scaled, where the element's word of the draw keeps it; else 0. With a mask, as no
// processor foresees a branch that hangs on a random number.
template <class E>
LOCKSTEP_HOST_DEVICE E dropped_out(E x, std::uint32_t word, float probability, float scale) {
  const std::uint32_t kept = Random::uniform(word) >= probability ? ~0U : 0U;
  return from_float<E>(std::bit_cast<float>(std::bit_cast<std::uint32_t>(to_float(x) * scale) & kept));
}

}  // namespace lockstep
