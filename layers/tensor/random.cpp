#include "layers/tensor/random.h"

#include <cmath>
#include <numbers>

#include "comm/base/hash.h"
#include "layers/tensor/philox.h"

namespace lockstep {
namespace {

constexpr std::array<std::uint32_t, 2> halves(std::uint64_t value) {
  return {low_half(value), high_half(value)};
}

}  // namespace

std::array<std::uint32_t, 4> philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key) {
  const auto out = r123::Philox4x32{}({{counter[0], counter[1], counter[2], counter[3]}}, {{key[0], key[1]}});
  return {out[0], out[1], out[2], out[3]};
}

Random::Random(std::uint64_t seed, std::string_view purpose, std::string_view name)
    : key_(halves(hash64(name, hash64(purpose, seed)))) {}

std::array<std::uint32_t, 4> Random::bits(std::uint64_t a, std::uint64_t b) const {
  const auto out = random_bits({{key_[0], key_[1]}}, a, b);
  return {out[0], out[1], out[2], out[3]};
}

double Random::normal(std::uint32_t radius, std::uint32_t angle) {
  constexpr double step = 0x1p-32;
  const double never_zero = (static_cast<double>(radius) + 0.5) * step;
  const double turn = 2 * std::numbers::pi * (static_cast<double>(angle) * step);
  return std::sqrt(-2 * std::log(never_zero)) * std::cos(turn);
}

std::uint64_t Random::below(std::uint64_t n, std::uint64_t a, std::uint64_t b) const {
  const auto words = bits(a, b);
  return ((std::uint64_t{words[1]} << 32) | words[0]) % n;
}

}  // namespace lockstep
