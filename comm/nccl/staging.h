#pragma once

#include <cstddef>
#include <map>

#include "comm/nccl/library.h"

namespace lockstep::nccl {

// What one transfer needs on the way: memory of the GPU, as much of the host for copies, if any, and an
// event.
struct Block {
  std::byte* device = nullptr;
  std::byte* pinned = nullptr;
  std::size_t bytes = 0;
  Event event;
};

// The blocks of a worker. They are kept when they come back, so that a step like the one before allocates
// nothing: allocating may wait for all that the GPU is at, and that for other workers.
class Staging {
 public:
  explicit Staging(Library& library) : library_(library) {}

  Block take(std::size_t bytes);
  void give_back(const Block& block) { free_.emplace(block.bytes, block); }

 private:
  Library& library_;
  std::multimap<std::size_t, Block> free_;  // by size: 0 or a power of two
};

}  // namespace lockstep::nccl
