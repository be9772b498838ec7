#pragma once

#include <cstdint>

namespace lockstep {

// A hash of what this host's decoders make of some built-in pictures: scaled inverse transforms and
// upsampled colors are their libraries' own, and differ between versions. Two hosts that differ here read
// other pixels.
std::uint64_t decoders_fingerprint();

}  // namespace lockstep
