#pragma once

#include <concepts>
#include <cstddef>
#include <string>

namespace lockstep {

// The number's bytes, the lowest first.
template <std::unsigned_integral Number>
void append_little_endian(std::string& to, Number number) {
  for (std::size_t byte = 0; byte < sizeof(number); ++byte) {
    to += static_cast<char>((number >> (8 * byte)) & 0xFFU);
  }
}

}  // namespace lockstep
