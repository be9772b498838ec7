#pragma once

#include <cstdint>

namespace lockstep {

// Gray of a color: ITU-R BT.601's luma, 0.299, 0.587 and 0.114 of 2^16, and one half.
inline std::uint8_t luma(const std::uint8_t* color) {
  return static_cast<std::uint8_t>((19595U * color[0] + 38470U * color[1] + 7471U * color[2] + 0x8000U) >>
                                   16U);
}

}  // namespace lockstep
