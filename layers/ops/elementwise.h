#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

// sum[i] += addend[i].
void add_into(std::span<float> sum, std::span<const float> addend);

// True if every element is finite.
bool all_finite(std::span<const float> values);

}  // namespace lockstep
