#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "comm/tree/shard_layout.h"

namespace lockstep {

// The one binary tree over shards that fixes the order of every sum. Node [lo, hi) splits at lo + the largest
// power of two below hi − lo. A node without a sample is absent: its parent is its other child, unchanged.
// (Adding a zero instead would turn −0 into +0 and cost time.)

// Where a node of at least two shards splits.
std::int64_t split(Range node);

// The largest nodes of `tree` that lie inside `block`, in order: what the owner of `block` folds alone.
std::vector<Range> maximal_subtrees(Range tree, Range block);

// Combines `right` into `left`, both `width` elements long.
using Combine = std::function<void(Range left_node, double* left, Range right_node, const double* right)>;

// Elementwise sum of the present leaves of `node`, in the tree's order: out[i] = Σ leaf(shard)[i].
// Shards from `present` on are absent. `leaf` answers a shard's `count` elements; `out` may be one of them
// only if node is that single shard. Writes nothing where all of `node` is absent.
void fold_sums(Range node, std::int64_t present, const std::function<const float*(std::int64_t)>& leaf,
               float* out, std::size_t count);

}  // namespace lockstep
