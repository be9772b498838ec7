#pragma once

#include <cstdint>

namespace lockstep {

// Bytes of memory that this process held at its peak, as the kernel counts them (ru_maxrss).
std::int64_t peak_memory();

// Since the system started this process, with a resolution of 10 ms.
double seconds_since_process_start();

}  // namespace lockstep
