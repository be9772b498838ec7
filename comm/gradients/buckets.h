#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/tree/shard_layout.h"

namespace lockstep {

// Cuts a gradient arena into contiguous buckets. `tensors` are the arena's tensors in the order in which
// backward finishes them: contiguous ranges of elements, [0, a), [a, b), … A bucket ends with the tensor that
// brings it to `bucket_elements` (0: one), the first already at an eighth, so that the exchange starts early.
// What is longer is cut into equal parts, within tensors too, so no collective outgrows what MPI can count.
// A pure function of its arguments: every worker plans the same buckets.
std::vector<Range> plan_buckets(std::span<const Range> tensors, std::size_t bucket_elements);

}  // namespace lockstep
