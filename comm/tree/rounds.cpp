#include "comm/tree/rounds.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace lockstep {

namespace {

// How many meet in each round.
std::vector<int> factors(const ShardLayout& layout, int most) {
  const int workers = layout.workers();
  const std::int64_t block = layout.shards() / workers;
  const bool nodes_alike =
      layout.shards() % workers == 0 && std::has_single_bit(static_cast<std::uint64_t>(block));
  const int bits_a_round = std::bit_width(static_cast<unsigned>(most)) - 1;
  if (workers <= most || !nodes_alike || bits_a_round < 1) return {workers};

  const int bits = std::countr_zero(static_cast<unsigned>(workers));
  const int rounds = (bits + bits_a_round - 1) / bits_a_round;
  std::vector<int> result;
  result.reserve(static_cast<std::size_t>(rounds) + 1);
  for (int round = 0; round < rounds; ++round) result.push_back(1 << part(bits, rounds, round).size());
  if (const int odd = workers >> bits; odd > 1) result.push_back(odd);
  return result;
}

// Of `groups` neighbouring groups of `group` workers each, those at this worker's place in its own. A member
// stands for its whole group.
Round make_round(const ShardLayout& layout, int group, int groups) {
  const int first = layout.rank() / (group * groups) * (group * groups);
  Round round;
  round.self = static_cast<std::size_t>((layout.rank() - first) / group);
  round.members.reserve(static_cast<std::size_t>(groups));
  for (int number = 0; number < groups; ++number) {
    const int begin = first + number * group;
    const Range shards{layout.block(begin).begin, layout.block(begin + group - 1).end};
    round.members.push_back({begin + layout.rank() % group, maximal_subtrees({0, layout.shards()}, shards)});
  }
  round.whole = {layout.block(first).begin, layout.block(first + group * groups - 1).end};
  return round;
}

}  // namespace

std::size_t Round::node_count(std::size_t member, std::int64_t present) const {
  std::size_t count = 0;
  each_node(member, present, [&](Range) { ++count; });
  return count;
}

std::vector<Round> plan_rounds(const ShardLayout& layout, int most) {
  std::vector<Round> rounds;
  int group = 1;
  for (const int groups : factors(layout, most)) {
    rounds.push_back(make_round(layout, group, groups));
    group *= groups;
  }
  return rounds;
}

}  // namespace lockstep
