#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "comm/tree/shard_layout.h"

namespace lockstep::test {

// The fixed tree as its definition reads, without anything that the real one does to be fast. Combines the
// leaves (a vector each) of [lo, hi) with `combine(left_node, left, right_node, right)`, which answers the
// value; shards from `present` on are absent. Nothing where all are.
template <class Value, class Combine>
std::optional<Value> reference_fold(std::int64_t lo, std::int64_t hi, std::int64_t present,
                                    const std::vector<Value>& leaves, const Combine& combine) {
  if (lo >= present) return std::nullopt;
  if (hi - lo == 1) return leaves[static_cast<std::size_t>(lo)];
  std::int64_t power = 1;
  while (power * 2 < hi - lo) power *= 2;
  auto left = reference_fold(lo, lo + power, present, leaves, combine);
  auto right = reference_fold(lo + power, hi, present, leaves, combine);
  if (!right) return left;
  return combine(Range{lo, lo + power}, *left, Range{lo + power, hi}, *right);
}

// Elementwise sums.
template <class T>
std::optional<std::vector<T>> reference_sum(std::int64_t lo, std::int64_t hi, std::int64_t present,
                                            const std::vector<std::vector<T>>& leaves) {
  return reference_fold(lo, hi, present, leaves,
                        [](Range, std::vector<T> left, Range, const std::vector<T>& right) {
                          for (std::size_t i = 0; i < left.size(); ++i) left[i] = left[i] + right[i];
                          return left;
                        });
}

}  // namespace lockstep::test
