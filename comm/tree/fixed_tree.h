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
//
// Present shards are always the first ones, and a tree cut to its present shards is the tree over these: the
// splits are the same. So absence needs no case of its own; trees and nodes are cut by `present_part` first.

// Where a node of at least two shards splits.
std::int64_t split(Range node);

// The largest nodes of `tree` that lie inside `block`, in order: what the owner of `block` folds alone.
std::vector<Range> maximal_subtrees(Range tree, Range block);

// What is left of `node` where the shards from `present` on are absent.
Range present_part(Range node, std::int64_t present);

// Combines `right` into `left`, both `width` elements long. The nodes are cut to their present shards.
using Combine = std::function<void(Range left_node, double* left, Range right_node, const double* right)>;

// Elementwise sum of the present leaves of `node`, in the tree's order: out[i] = Σ leaf(shard)[i].
// Shards from `present` on are absent. `leaf` answers a shard's `count` elements; `out` may be one of them.
// Writes nothing where all of `node` is absent.
void fold_sums(Range node, std::int64_t present, const std::function<const float*(std::int64_t)>& leaf,
               float* out, std::size_t count);

// A node whose value is known.
template <class T>
struct Part {
  Range node;
  T* values;
};

// The same sum where the values of some nodes are known already: `parts` are nodes of the tree, in order, cut
// to their present shards, and cover the present shards of `node`. `out` may be the values of any part.
void fold_sums(Range node, std::span<const Part<const float>> parts, float* out, std::size_t count);

// Folds `parts` (as above) with `combine`, in place, and answers where the value of `node` lies: in the first
// part's values. The other parts' values are left as they are or hold partial results.
double* fold_in_place(Range node, std::span<const Part<double>> parts, const Combine& combine);

}  // namespace lockstep
