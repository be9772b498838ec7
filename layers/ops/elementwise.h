#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

// sum[i] += addend[i].
void add_into(std::span<float> sum, std::span<const float> addend);

// Σ value², in fp64. Values are taken in fixed blocks and lanes, and blocks along the fixed tree, so that the
// bits depend on the values alone. Of finite values it is finite.
double sum_of_squares(std::span<const float> values);

// True if every element is finite.
bool all_finite(std::span<const float> values);

}  // namespace lockstep
