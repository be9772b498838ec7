#pragma once

#include <cstdint>

#include "layers/ops/cuda/grid.h"
#include "layers/ops/dropout.h"
#include "layers/tensor/philox.h"

namespace lockstep::cuda {

// A column is four elements of a sample, which one draw serves; a row is a sample.
template <class E>
struct Dropout {
  const E* from;
  std::int64_t elements;  // of a sample
  float probability;
  r123::Philox4x32::key_type key;
  std::int64_t step;
  std::int64_t first_sample;
  E* to;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t draw) const {
    const float scale = dropout_scale(probability);
    return [draw, scale, *this](std::int64_t sample) {
      const std::int64_t position = (first_sample + sample) * dropout_draws(elements) + draw;
      const auto bits =
          random_bits(key, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(position));
      const std::int64_t first = draw * dropout_words;
      for (std::int64_t word = 0; word < dropout_words && first + word < elements; ++word) {
        const std::int64_t at = sample * elements + first + word;
        to[at] = dropped_out(from[at], bits.v[word], probability, scale);
      }
    };
  }
};

}  // namespace lockstep::cuda
