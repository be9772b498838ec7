#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

namespace lockstep::test {

// Pseudo-random choices that are the same on every worker.
class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_(seed) {}

  // From low to high, both included.
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(generator_() % static_cast<std::uint64_t>(high - low + 1));
  }

  // Values of widely differing magnitude and sign, zeros of both signs among them: their sum shows in its
  // last bits in which order it was taken.
  template <class T>
  std::vector<T> values(std::size_t count) {
    std::vector<T> result(count);
    for (T& value : result) {
      if (integer(0, 9) == 0) {
        value = integer(0, 1) == 0 ? T(0) : T(-0.0);
      } else {
        value = std::ldexp(static_cast<T>(integer(-(1 << 24), 1 << 24)), static_cast<int>(integer(-20, 20)));
      }
    }
    return result;
  }

 private:
  std::mt19937_64 generator_;
};

// Whether two arrays are the same bytes.
template <class T>
bool same_bits(std::span<const T> left, std::span<const T> right) {
  return left.size() == right.size() &&
         (left.empty() || std::memcmp(left.data(), right.data(), left.size_bytes()) == 0);
}

template <class T>
bool same_bits(const std::vector<T>& left, const std::vector<T>& right) {
  return same_bits(std::span<const T>(left), std::span<const T>(right));
}

}  // namespace lockstep::test
