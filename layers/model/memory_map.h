#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lockstep {

// A piece of memory that is needed from action `first` to action `last`, both included.
struct Lifetime {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryMap {
  std::vector<std::size_t> offsets;  // of each lifetime, on 64 bytes
  std::size_t bytes = 0;             // in all
};

// Gives each lifetime a place, so that two that overlap in time do not overlap in memory: the largest first,
// each at the lowest place that is free.
MemoryMap place(std::span<const Lifetime> lifetimes);

}  // namespace lockstep
