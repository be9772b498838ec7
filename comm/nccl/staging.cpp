#include "comm/nccl/staging.h"

#include <algorithm>
#include <bit>

namespace lockstep::nccl {

namespace {

constexpr std::size_t smallest = 4096;

}  // namespace

Block Staging::take(std::size_t bytes) {
  const std::size_t size = bytes == 0 ? 0 : std::bit_ceil(std::max(bytes, smallest));
  if (const auto found = free_.find(size); found != free_.end()) return free_.extract(found).mapped();
  if (size == 0) return {nullptr, nullptr, 0, library_.new_event()};
  return {library_.device_memory(size), library_.pinned_memory(size), size, library_.new_event()};
}

}  // namespace lockstep::nccl
