#include "comm/tree/fixed_tree.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <stdexcept>

namespace lockstep {

namespace {

// Elements that are folded at a time: short enough that a path of partial sums stays in the first cache.
constexpr std::size_t block_elements = 512;

std::size_t depth(Range node) {
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(node.size())));
}

// Walks down from a node to the known ones, which come in order.
template <class T>
class Parts {
 public:
  explicit Parts(std::span<const Part<T>> parts) : parts_(parts) {}

  // The next known value, if it is that of `node`.
  std::optional<T*> take(Range node) {
    if (next_ == parts_.size() || !node.contains(parts_[next_].node)) {
      throw std::logic_error("parts do not cover the tree");
    }
    if (parts_[next_].node != node) return std::nullopt;
    return parts_[next_++].values;
  }

 private:
  std::span<const Part<T>> parts_;
  std::size_t next_ = 0;
};

// The sum of `count` elements from `at` on: a known value itself, or computed into `out`, which is written
// last and so may be where a known value lies. `scratch` has two blocks of `count` for each level below.
const float* sum_block(Range node, Parts<const float>& parts, std::size_t at, std::size_t count, float* out,
                       float* scratch) {
  if (const auto known = parts.take(node)) return *known + at;
  const std::int64_t middle = split(node);
  float* const below = scratch + 2 * count;
  const float* left = sum_block({node.begin, middle}, parts, at, count, scratch, below);
  const float* right = sum_block({middle, node.end}, parts, at, count, scratch + count, below);
  for (std::size_t i = 0; i < count; ++i) out[i] = left[i] + right[i];
  return out;
}

double* combine_parts(Range node, Parts<double>& parts, const Combine& combine) {
  if (const auto known = parts.take(node)) return *known;
  const Range left_node{node.begin, split(node)};
  const Range right_node{left_node.end, node.end};
  double* left = combine_parts(left_node, parts, combine);
  const double* right = combine_parts(right_node, parts, combine);
  combine(left_node, left, right_node, right);
  return left;
}

}  // namespace

std::int64_t split(Range node) {
  const auto below = static_cast<std::uint64_t>(node.size()) - 1;
  return node.begin + static_cast<std::int64_t>(std::bit_floor(below));
}

std::vector<Range> maximal_subtrees(Range tree, Range block) {
  const Range common{std::max(tree.begin, block.begin), std::min(tree.end, block.end)};
  if (common.size() <= 0) return {};
  if (common == tree) return {tree};
  auto nodes = maximal_subtrees({tree.begin, split(tree)}, block);
  const auto right = maximal_subtrees({split(tree), tree.end}, block);
  nodes.insert(nodes.end(), right.begin(), right.end());
  return nodes;
}

Range present_part(Range node, std::int64_t present) {
  return {std::min(node.begin, present), std::min(node.end, present)};
}

void fold_sums(Range node, std::int64_t present, const std::function<const float*(std::int64_t)>& leaf,
               float* out, std::size_t count) {
  node = present_part(node, present);
  std::vector<Part<const float>> leaves;
  for (std::int64_t shard = node.begin; shard < node.end; ++shard) {
    leaves.push_back({{shard, shard + 1}, leaf(shard)});
  }
  if (!leaves.empty()) fold_sums(node, leaves, out, count);
}

void fold_sums(Range node, std::span<const Part<const float>> parts, float* out, std::size_t count) {
  std::vector<float> scratch(2 * depth(node) * std::min(block_elements, count));
  for (std::size_t at = 0; at < count; at += block_elements) {
    const std::size_t length = std::min(block_elements, count - at);
    Parts<const float> walk(parts);
    const float* sum = sum_block(node, walk, at, length, out + at, scratch.data());
    if (sum != out + at) std::copy_n(sum, length, out + at);
  }
}

double* fold_in_place(Range node, std::span<const Part<double>> parts, const Combine& combine) {
  Parts<double> walk(parts);
  return combine_parts(node, walk, combine);
}

}  // namespace lockstep
