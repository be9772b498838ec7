#pragma once

#include <Random123/philox.h>

#include <cstdint>

#include "comm/base/host_device.h"

// Random's arithmetic (random.h), for hosts and GPUs.
namespace lockstep {

LOCKSTEP_HOST_DEVICE constexpr std::uint32_t low_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
LOCKSTEP_HOST_DEVICE constexpr std::uint32_t high_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

// 128 random bits for the position (a, b).
LOCKSTEP_HOST_DEVICE inline r123::Philox4x32::ctr_type random_bits(const r123::Philox4x32::key_type& key,
                                                                   std::uint64_t a, std::uint64_t b) {
  return r123::Philox4x32{}({{low_half(a), high_half(a), low_half(b), high_half(b)}}, key);
}

}  // namespace lockstep
