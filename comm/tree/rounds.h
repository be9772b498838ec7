#pragma once

#include <cstddef>
#include <vector>

#include "comm/tree/fixed_tree.h"
#include "comm/tree/shard_layout.h"

namespace lockstep {

// Some workers that meet, each bringing nodes of the fixed tree. Together they have a larger one: `whole`.
struct Round {
  struct Member {
    int rank = 0;
    std::vector<Range> nodes;  // in order; one, but for workers whose block is several subtrees
  };
  std::vector<Member> members;  // by rank, this worker among them
  std::size_t self = 0;         // its place there
  Range whole;

  // A member's nodes, where no shard from `present` on has a sample.
  template <class Work>
  void each_node(std::size_t member, std::int64_t present, const Work& work) const {
    for (const Range node : members[member].nodes) {
      if (const Range left = present_part(node, present); !left.empty()) work(left);
    }
  }
  std::size_t node_count(std::size_t member, std::int64_t present) const;
};

// The rounds in which this worker meets others until it knows of all. Where all meet at once, each of W
// workers sends W − 1 messages, and beyond some tens of workers these are what an exchange costs. So they
// meet like this: neighbours first, as many as `most`; then, of the groups of neighbours, those at the same
// place; and so on. A group is a node of the tree, so the order of every sum is as it was. W = r₁·r₂·…·rₖ
// workers send r₁ + … + rₖ − k messages in k rounds; the factors are powers of two, of like size; an odd one
// comes last, as large as it is.
//
// One round of all where `most` allows it, and where groups of workers would not be nodes of the tree: where
// their blocks are not of one size, a power of two. A pure function of its arguments, of which ranks differ
// in their own alone: all workers plan equally many rounds and meet whom they are met by.
std::vector<Round> plan_rounds(const ShardLayout& layout, int most);

}  // namespace lockstep
