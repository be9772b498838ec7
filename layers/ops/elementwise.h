#pragma once

#include <cstdint>
#include <span>

#include "layers/tensor/element.h"

namespace lockstep {

// sum[i] += addend[i].
void add_into(std::span<float> sum, std::span<const float> addend);
void add_into(std::span<Bf16> sum, std::span<const Bf16> addend);

// to[i] = from[i], rounded to the nearest. `to` is at least as long.
void convert(std::span<const float> from, std::span<Bf16> to);
void convert(std::span<const Bf16> from, std::span<float> to);

// Σ value², in fp64. Values are taken in fixed blocks and lanes, and blocks along the fixed tree, so that the
// bits depend on the values alone. Of finite values it is finite.
double sum_of_squares(std::span<const float> values);

// True if every element is finite.
bool all_finite(std::span<const float> values);

}  // namespace lockstep
