#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lockstep {

// XXH3 (64 bits): digests of tensors, and names turned into keys of the random generator.
// A stored digest is comparable between machines of one byte order.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0);

}  // namespace lockstep
