#include "comm/tree/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "comm/tree/moments.h"

namespace lockstep {

namespace {

// Fewer make more rounds, more make more messages: with 2 to 20 us from worker to worker four is near the
// best. exchange.
constexpr int most_in_a_round = 4;

}  // namespace

TreeExchange::TreeExchange(const ShardLayout& layout, std::int64_t group, int most_at_once)
    : layout_(layout), group_(group) {
  if (group < 1 || group > layout.shards()) {
    throw std::logic_error(fmt::format("a group of {} shards out of {}", group, layout.shards()));
  }
  const bool few = layout.workers() <= most_at_once;
  rounds_ = plan_rounds(layout, few ? layout.workers() : std::min(most_at_once, most_in_a_round));
}

std::int64_t TreeExchange::groups() const {
  return (layout_.shards() + group_ - 1) / group_;
}

Range TreeExchange::group(std::int64_t index) const {
  return {index * group_, std::min((index + 1) * group_, layout_.shards())};
}

Range TreeExchange::own_groups() const {
  const Range block = layout_.block();
  if (block.empty()) return {0, 0};
  return {block.begin / group_, (block.end - 1) / group_ + 1};
}

bool TreeExchange::needs_exchange() const {
  for (std::int64_t index = 0; index < groups(); ++index) {
    if (is_sent(index, false)) return true;
  }
  return false;
}

void TreeExchange::run(Communicator& comm, std::string_view name, std::int64_t present, std::size_t width,
                       std::span<double> leaves, const Combine& combine, std::span<double> results,
                       bool all_groups) {
  const Range block = layout_.block();
  const Range wanted = all_groups ? Range{0, groups()} : own_groups();
  if (comm.size() != layout_.workers() || comm.rank() != layout_.rank() ||
      leaves.size() != static_cast<std::size_t>(block.size()) * width ||
      results.size() != static_cast<std::size_t>(wanted.size()) * width) {
    throw std::logic_error(
        fmt::format("'{}': {} leaf and {} result values do not fit {} shards and {} groups", name,
                    leaves.size(), results.size(), block.size(), wanted.size()));
  }
  const auto own = [&](std::int64_t shard) {
    return leaves.data() + static_cast<std::size_t>(shard - block.begin) * width;
  };

  std::vector<Part<double>> parts;
  for (std::int64_t index = own_groups().begin; index < own_groups().end; ++index) {
    for (const Range node : maximal_subtrees(present_part(group(index), present), block)) {
      parts.clear();
      for (std::int64_t shard = node.begin; shard < node.end; ++shard) {
        parts.push_back({{shard, shard + 1}, own(shard)});
      }
      fold_in_place(node, parts, combine);
    }
  }

  if (rounds_.size() > 1 && groups() == 1) {
    run_in_rounds(comm, name, present, leaves.first(width), combine, results);
    return;
  }
  gather(comm, name, present, width, leaves, all_groups);

  double* next = all_.data();
  for (std::int64_t index = 0; index < groups(); ++index) {
    const Range tree = present_part(group(index), present);
    if (tree.empty()) continue;
    parts.clear();
    if (is_sent(index, all_groups)) {
      for (int rank = owners(tree).first; rank <= owners(tree).last; ++rank) {
        for (const Range node : maximal_subtrees(tree, layout_.block(rank))) {
          parts.push_back({node, next});
          next += width;
        }
      }
    } else if (block.contains(tree)) {
      parts.push_back({tree, own(tree.begin)});
    }
    if (!wanted.contains({index, index + 1})) continue;
    std::copy_n(fold_in_place(tree, parts, combine), width,
                results.data() + static_cast<std::size_t>(index - wanted.begin) * width);
  }
}

void TreeExchange::run_in_rounds(Communicator& comm, std::string_view name, std::int64_t present,
                                 std::span<const double> own, const Combine& combine,
                                 std::span<double> result) {
  // What the workers met so far have together; nothing while none of their shards has a sample.
  std::ranges::copy(own, result.begin());
  for (const Round& round : rounds_) {
    all_.resize(round.members.size() * result.size());
    std::vector<Part<double>> parts;
    std::vector<Outgoing<double>> out;
    std::vector<Incoming<double>> in;
    const bool brings = round.node_count(round.self, present) > 0;
    for (std::size_t member = 0; member < round.members.size(); ++member) {
      const int rank = round.members[member].rank;
      const auto place = std::span(all_).subspan(member * result.size(), result.size());
      const bool is_other = member != round.self;
      if (is_other && brings) out.push_back({rank, result});
      round.each_node(member, present, [&](Range node) {
        parts.push_back({node, place.data()});
        if (is_other) in.push_back({rank, place});
      });
    }
    std::ranges::copy(result, all_.begin() + static_cast<std::ptrdiff_t>(round.self * result.size()));
    comm.exchange(Lane::statistics, name, out, in).wait();
    const Range tree = present_part(round.whole, present);
    if (!tree.empty()) std::copy_n(fold_in_place(tree, parts, combine), result.size(), result.begin());
  }
}

// One all-gather of the nodes that others need, or nothing where nobody needs any.
void TreeExchange::gather(Communicator& comm, std::string_view name, std::int64_t present, std::size_t width,
                          std::span<const double> leaves, bool all_groups) {
  std::vector<std::size_t> counts;
  std::size_t total = 0;
  for (int rank = 0; rank < layout_.workers(); ++rank) {
    counts.push_back(sent_by(rank, present, all_groups).size() * width);
    total += counts.back();
  }
  all_.resize(total);
  if (total == 0) return;

  mine_.clear();
  for (const Range node : sent_by(layout_.rank(), present, all_groups)) {
    const auto offset = static_cast<std::size_t>(node.begin - layout_.block().begin) * width;
    const auto values = leaves.subspan(offset, width);
    mine_.insert(mine_.end(), values.begin(), values.end());
  }
  comm.all_gather(Lane::statistics, name, std::span<const double>(mine_), std::span<double>(all_), counts)
      .wait();
}

std::vector<Range> TreeExchange::sent_by(int rank, std::int64_t present, bool all_groups) const {
  const Range block = layout_.block(rank);
  std::vector<Range> nodes;
  if (block.empty()) return nodes;
  for (std::int64_t index = block.begin / group_; index * group_ < block.end; ++index) {
    if (!is_sent(index, all_groups)) continue;
    const auto found = maximal_subtrees(present_part(group(index), present), block);
    nodes.insert(nodes.end(), found.begin(), found.end());
  }
  return nodes;
}

TreeExchange::Owners TreeExchange::owners(Range shards) const {
  return {layout_.owner(shards.begin), layout_.owner(shards.end - 1)};
}

// A worker whose shards of a group are all absent wants its value too, so absence does not matter here.
bool TreeExchange::is_sent(std::int64_t index, bool all_groups) const {
  const Owners of = owners(group(index));
  return of.first != of.last || (all_groups && layout_.workers() > 1);
}

Combine sum_of(std::size_t width) {
  return [width](Range, double* left, Range, const double* right) {
    for (std::size_t i = 0; i < width; ++i) left[i] += right[i];
  };
}

void merge_moments(std::size_t channels, double* left, std::int64_t left_count, const double* right,
                   std::int64_t right_count) {
  const MomentsMerge merge(static_cast<double>(left_count), static_cast<double>(right_count));
  for (std::size_t channel = 0; channel < channels; ++channel) {
    merge(left[channel], left[channels + channel], right[channel], right[channels + channel]);
  }
}

Combine moments_of(std::size_t channels, std::function<std::int64_t(Range node)> count) {
  return [channels, count = std::move(count)](Range left_node, double* left, Range right_node,
                                              const double* right) {
    merge_moments(channels, left, count(left_node), right, count(right_node));
  };
}

}  // namespace lockstep
