#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "comm/base/host_device.h"

// What activations and their gradients are stored in. Arithmetic is in fp32 or better, whatever they are.
namespace lockstep {

// The upper half of an fp32 number: its range, with 8 bits of precision (bfloat16).
struct Bf16 {
  std::uint16_t bits = 0;
};

enum class Element : std::uint8_t { f32, bf16 };

// Bytes of one.
constexpr std::size_t size_of(Element element) {
  return element == Element::bf16 ? sizeof(Bf16) : sizeof(float);
}

// Calls visit with a value of the type that is meant.
template <class Visit>
decltype(auto) with_element(Element element, const Visit& visit) {
  switch (element) {
    case Element::f32:
      return visit(float{});
    case Element::bf16:
      return visit(Bf16{});
  }
  throw std::logic_error("an element of no type");
}

LOCKSTEP_HOST_DEVICE inline float to_float(float x) {
  return x;
}
LOCKSTEP_HOST_DEVICE inline float to_float(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16U);
}

// The nearest E, of two the even one; NaN stays NaN. With integers, so that every processor and every tail
// gives the same bits: the instruction for it takes what is below fp32's normal numbers for 0.
template <class E>
LOCKSTEP_HOST_DEVICE E from_float(float x);
template <>
LOCKSTEP_HOST_DEVICE inline float from_float<float>(float x) {
  return x;
}
template <>
LOCKSTEP_HOST_DEVICE inline Bf16 from_float<Bf16>(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t odd = (bits >> 16U) & 1U;
  const std::uint32_t nearest = (bits + 0x7fffU + odd) >> 16U;
  const std::uint32_t quiet_nan = (bits >> 16U) | 0x40U;
  return {static_cast<std::uint16_t>(x == x ? nearest : quiet_nan)};
}

// x as it comes back from memory.
template <class E>
LOCKSTEP_HOST_DEVICE float stored(float x) {
  return to_float(from_float<E>(x));
}

// The largest number that is stored as 0.
template <class E>
inline constexpr float largest_zero = 0.0F;
template <>
inline constexpr float largest_zero<Bf16> = 0x1p-134F;

}  // namespace lockstep
