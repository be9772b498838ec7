#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "comm/tree/fixed_tree.h"
#include "comm/tree/rounds.h"

namespace lockstep {

// Merges per-shard values of `width` doubles into one value a group of shards, over all workers, in one
// exchange: fold the maximal subtrees of the own block, all-gather the nodes, fold the rest. More than eight
// workers that share one group meet in rounds instead (rounds.h), since that many messages at once cost more
// than the way back and forth: the bits are the same. Groups are [0, k), [k, 2k), …, each with its own fixed
// tree (rule 4). A group inside one worker's block needs no exchange, and an exchange that no group needs
// does not happen.
class TreeExchange {
 public:
  // `group`: shards a group spans, 1 … layout.shards(); the last group may be shorter.
  // most_at_once: workers that meet; where more share the one group, they do so in rounds of four, or of
  // fewer.
  TreeExchange(const ShardLayout& layout, std::int64_t group, int most_at_once = 8);

  std::int64_t groups() const;
  Range group(std::int64_t index) const;
  // Groups that have a shard in the own block.
  Range own_groups() const;
  bool needs_exchange() const;

  // leaves: own shards' values, shard block().begin first, `width` doubles each; overwritten.
  // present: shards that have samples (ShardLayout::present). Nodes are cut to these.
  // results: a value each group of own_groups() (all_groups: of all groups, which always exchanges where
  // there are several workers), in order, `width` doubles each. An absent group's value is left as it was.
  // Blocks; folds with `combine`, whose result may depend on nothing but its arguments.
  void run(Communicator& comm, std::string_view name, std::int64_t present, std::size_t width,
           std::span<double> leaves, const Combine& combine, std::span<double> results,
           bool all_groups = false);

 private:
  // Workers that have a part of these shards.
  struct Owners {
    int first;
    int last;
  };
  Owners owners(Range shards) const;
  // The nodes that `rank` brings to the exchange.
  std::vector<Range> sent_by(int rank, std::int64_t present, bool all_groups) const;
  // Whether the nodes of a group are exchanged.
  bool is_sent(std::int64_t index, bool all_groups) const;
  void gather(Communicator& comm, std::string_view name, std::int64_t present, std::size_t width,
              std::span<const double> leaves, bool all_groups);

  // Where all shards are one group: folds it, in rounds, from the own block's value.
  void run_in_rounds(Communicator& comm, std::string_view name, std::int64_t present,
                     std::span<const double> own, const Combine& combine, std::span<double> result);

  ShardLayout layout_;
  std::int64_t group_;
  std::vector<Round> rounds_;
  std::vector<double> mine_;
  std::vector<double> all_;  // the nodes of all workers, in the order of their shards
};

// The Combine of plain sums of `width` doubles.
Combine sum_of(std::size_t width);

// Merges moments into others (moments.h): `channels` means followed by `channels` sums of squared deviations
// (M2), of so many values a channel. right_count ≥ 1; left_count may be 0: left becomes right.
void merge_moments(std::size_t channels, double* left, std::int64_t left_count, const double* right,
                   std::int64_t right_count);

// The Combine of moments; `count` answers how many values a channel has in a node.
Combine moments_of(std::size_t channels, std::function<std::int64_t(Range node)> count);

}  // namespace lockstep
