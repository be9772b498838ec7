#pragma once

#include <array>
#include <cstdint>

#include "comm/tree/fold_along.h"
#include "layers/ops/cuda/grid.h"

// Values folded along the fixed tree (comm/tree): the same bits as there.
namespace lockstep::cuda {

// out[i] = Σ leaf[i]. For each element.
struct FoldSums {
  const float* leaves;  // `stride` elements from one to the next
  std::int64_t stride;
  std::int64_t count;  // of leaves, at least 1
  float* out;          // may be a leaf

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const {
    out[i] = fold_along_tree<float>(
        count, [&](std::int64_t leaf) { return leaves[leaf * stride + i]; },
        [](float& left, const float& right) { left += right; });
  }
};

LOCKSTEP_HOST_DEVICE inline void merge(double& left, double right) {
  left += right;
}
template <class Value>
LOCKSTEP_HOST_DEVICE void merge(Value& left, const Value& right) {
  left.merge(right);
}

// One value of many: threads fold subtrees of equal size, a power of two, then the nodes among themselves.
// One block.
template <class Value>
struct FoldToOne {
  static constexpr std::int64_t threads = most_threads;
  static constexpr int phases = 11;  // 1,024 nodes to 512 … to 1
  struct Shared {
    std::array<Value, threads> nodes;
  };

  const Value* values;
  std::int64_t count;    // at least 1
  std::int64_t subtree;  // values a thread folds: subtree_for(count)
  Value* out;

  static std::int64_t subtree_for(std::int64_t count) {
    std::int64_t subtree = 1;
    while (subtree * threads < count) subtree *= 2;
    return subtree;
  }
  static std::int64_t blocks() { return 1; }

  LOCKSTEP_HOST_DEVICE void operator()(const Place& at, int phase, Shared& shared) const {
    const std::int64_t node = at.thread;
    const std::int64_t nodes = (count + subtree - 1) / subtree;
    const std::int64_t begin = node * subtree;
    if (phase == 0) {
      if (node >= nodes) return;
      const std::int64_t length = begin + subtree < count ? subtree : count - begin;
      shared.nodes[node] = fold_along_tree<Value>(
          length, [&](std::int64_t i) { return values[begin + i]; },
          [](Value& left, const Value& right) { merge(left, right); });
      return;
    }
    const std::int64_t distance = std::int64_t{1} << (phase - 1);
    const bool merges = node % (2 * distance) == 0 && node + distance < nodes;
    if (merges) merge(shared.nodes[node], shared.nodes[node + distance]);
    if (node == 0 && phase == phases - 1) *out = shared.nodes[0];
  }
};

}  // namespace lockstep::cuda
