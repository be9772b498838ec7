#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "comm/base/host_device.h"

namespace lockstep {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
std::array<std::uint32_t, 4> philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key);

// Counter-based random numbers: a pure function of a key and a position, so it never matters who draws, or in
// which order.
class Random {
 public:
  // The key: the run's seed, what the numbers are for ("weights", "dropout", "flip", …), and for whom
  // (a parameter's or a layer's name).
  Random(std::uint64_t seed, std::string_view purpose, std::string_view name = "");

  const std::array<std::uint32_t, 2>& key() const { return key_; }

  // 128 random bits for the position (a, b).
  std::array<std::uint32_t, 4> bits(std::uint64_t a, std::uint64_t b = 0) const;
  // [0, 1), with 24 bits; `lane` 0 … 3 picks one of the four words of the position.
  LOCKSTEP_HOST_DEVICE static float uniform(std::uint32_t word) {
    return static_cast<float>(word >> 8) * 0x1p-24F;
  }
  // Of the standard normal distribution, from two words of a position (Box and Muller, 1958).
  static double normal(std::uint32_t radius, std::uint32_t angle);
  // Uniform in [0, n), n ≥ 1, from 64 bits of the position (the bias is below 2⁻³² for n < 2³²).
  std::uint64_t below(std::uint64_t n, std::uint64_t a, std::uint64_t b = 0) const;

 private:
  std::array<std::uint32_t, 2> key_;
};

}  // namespace lockstep
