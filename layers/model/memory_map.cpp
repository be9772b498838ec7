#include "layers/model/memory_map.h"

#include <algorithm>
#include <numeric>

#include "layers/tensor/buffer.h"

namespace lockstep {

MemoryMap place(std::span<const Lifetime> lifetimes) {
  MemoryMap map;
  map.offsets.assign(lifetimes.size(), 0);
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return lifetimes[i].bytes; });

  std::vector<std::size_t> placed;
  for (const std::size_t i : order) {
    const Lifetime& it = lifetimes[i];
    std::vector<std::size_t> rivals;
    std::ranges::copy_if(placed, std::back_inserter(rivals), [&](std::size_t other) {
      return lifetimes[other].first <= it.last && it.first <= lifetimes[other].last;
    });
    std::ranges::sort(rivals, std::less{}, [&](std::size_t other) { return map.offsets[other]; });

    std::size_t offset = 0;
    for (const std::size_t other : rivals) {
      if (offset + aligned(it.bytes) <= map.offsets[other]) break;
      offset = std::max(offset, map.offsets[other] + aligned(lifetimes[other].bytes));
    }
    map.offsets[i] = offset;
    map.bytes = std::max(map.bytes, offset + aligned(it.bytes));
    placed.push_back(i);
  }
  return map;
}

}  // namespace lockstep
