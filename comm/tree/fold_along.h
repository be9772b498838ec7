#pragma once

#include <array>
#include <cstdint>

#include "comm/base/host_device.h"

namespace lockstep {

// The value of leaves 0 … count − 1, count ≥ 1, along the fixed tree (fixed_tree.h), without recursion, for
// hosts and GPUs: leaf(index) answers a leaf's value, merge(left, right) merges the right into the left. As
// the tree splits at powers of two, nodes fill up like the digits of a binary number that counts leaves.
template <class Value, class Leaf, class Merge>
LOCKSTEP_HOST_DEVICE Value fold_along_tree(std::int64_t count, const Leaf& leaf, const Merge& merge) {
  constexpr int most_digits = 40;
  std::array<Value, most_digits> waiting{};  // nodes that have no sibling yet, the larger first
  waiting[0] = leaf(0);
  int nodes = 1;
  for (std::int64_t index = 1; index < count; ++index) {
    Value value = leaf(index);
    for (std::int64_t digits = index; digits % 2 == 1; digits /= 2) {
      merge(waiting[--nodes], value);
      value = waiting[nodes];
    }
    waiting[nodes++] = value;
  }
  for (; nodes > 1; --nodes) merge(waiting[nodes - 2], waiting[nodes - 1]);
  return waiting[0];
}

}  // namespace lockstep
