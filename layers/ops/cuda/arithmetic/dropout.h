#pragma once

#include <cstdint>

#include "layers/ops/cuda/grid.h"
#include "layers/tensor/element.h"
#include "layers/tensor/philox.h"
#include "layers/tensor/random.h"

namespace lockstep::cuda {

// A column is four elements of a sample, which one draw serves; a row is a sample.
template <class E>
struct Dropout {
  static constexpr std::int64_t words = 4;

  const E* from;
  std::int64_t elements;  // of a sample
  float probability;
  r123::Philox4x32::key_type key;
  std::int64_t step;
  std::int64_t first_sample;
  E* to;

  static LOCKSTEP_HOST_DEVICE std::int64_t draws(std::int64_t elements) {
    return (elements + words - 1) / words;
  }

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t draw) const {
    const float scale = probability < 1 ? 1 / (1 - probability) : 0;
    return [draw, scale, *this](std::int64_t sample) {
      const std::int64_t position = (first_sample + sample) * draws(elements) + draw;
      const auto bits =
          random_bits(key, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(position));
      for (std::int64_t word = 0; word < words && draw * words + word < elements; ++word) {
        const bool keep = Random::uniform(bits.v[word]) >= probability;
        const std::int64_t at = sample * elements + draw * words + word;
        to[at] = from_float<E>(keep ? to_float(from[at]) * scale : 0.0F);
      }
    };
  }
};

}  // namespace lockstep::cuda
