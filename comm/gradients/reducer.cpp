#include "comm/gradients/reducer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "comm/gradients/buckets.h"
#include "comm/gradients/window.h"
#include "comm/tree/fixed_tree.h"

namespace lockstep {

namespace {

std::size_t length(Range range) {
  return static_cast<std::size_t>(range.size());
}

}  // namespace

struct GradientReducer::Bucket {
  std::string name;
  // What a round leaves to the next: ranges[0] is the bucket, ranges[r + 1] is the piece of ranges[r] that
  // this worker sums in round r, or all of it where everybody does.
  std::vector<Range> ranges;
  bool goes_whole = false;
  // What this worker sends, where its nodes are several.
  std::shared_ptr<float> packed;
  // Of each round: its piece of the others' present nodes, in order, then of their sum.
  std::vector<std::shared_ptr<float>> received;
  // Of each round: its piece of its own nodes, in what it sends.
  std::vector<float*> own;
  Pending scatter;
  Pending gather;
  // Rounds of each; a gather's go backwards.
  std::size_t scatters_started = 0, folded = 0;
  std::size_t gathers_started = 0, gathered = 0;
};

GradientReducer::GradientReducer(Communicator& comm, const ShardLayout& layout, std::vector<Range> tensors,
                                 Options options)
    : comm_(comm),
      layout_(layout),
      tensors_(std::move(tensors)),
      options_(options),
      memory_(options.memory == nullptr ? own_memory_ : *options.memory),
      nodes_(maximal_subtrees({0, layout.shards()}, layout.block())),
      rounds_(plan_rounds(layout, options.most_at_once)),
      window_(options.window) {
  for (const Range elements : plan_buckets(tensors_, options_.bucket_bytes / sizeof(float))) {
    Bucket& bucket = buckets_.emplace_back();
    bucket.name = fmt::format("gradients [{}, {})", elements.begin, elements.end);
    bucket.goes_whole = goes_whole(length(elements) * sizeof(float));
    bucket.ranges.push_back(elements);
    for (const Round& round : rounds_)
      bucket.ranges.push_back(piece(bucket, round, bucket.ranges.back(), round.self));
    bucket.own.resize(rounds_.size());
    make_rooms(bucket);
  }
  ready_tensors_ = tensors_.size();
  released_ = scattered_ = folded_ = gathering_ = gathered_ = buckets_.size();
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::begin(std::span<float* const> arenas, float* out, std::int64_t present, bool overlap) {
  if (gathered_ != buckets_.size()) throw std::logic_error("the reducer's last step is not finished");
  if (arenas.size() != nodes_.size() || present < 1) {
    throw std::logic_error(fmt::format("{} gradient arenas for {} nodes, {} shards with samples",
                                       arenas.size(), nodes_.size(), present));
  }
  arenas_.assign(arenas.begin(), arenas.end());
  sum_ = out;
  present_ = present;
  for (Bucket& bucket : buckets_) {
    bucket.scatters_started = bucket.folded = bucket.gathers_started = bucket.gathered = 0;
  }
  overlaps_ = options_.overlap && overlap;
  if (overlaps_) begun_ = Clock::now();
  ready_tensors_ = released_ = scattered_ = folded_ = gathering_ = gathered_ = 0;
}

void GradientReducer::ready(std::size_t index) {
  if (index != ready_tensors_ || index >= tensors_.size()) {
    throw std::logic_error(
        fmt::format("gradient tensor {} is ready, tensor {} was next", index, ready_tensors_));
  }
  ++ready_tensors_;
  if (!overlaps_) return;
  const std::int64_t ready_elements = tensors_[index].end;
  while (released_ < buckets_.size() && buckets_[released_].ranges[0].end <= ready_elements) ++released_;
  start_scatters();
}

void GradientReducer::progress() {
  while (advance_scatter(false) || advance_gather(false)) {
  }
}

void GradientReducer::finish() {
  if (ready_tensors_ != tensors_.size()) {
    throw std::logic_error(
        fmt::format("{} of {} gradient tensors are ready", ready_tensors_, tensors_.size()));
  }
  const auto waits_from = Clock::now();
  released_ = buckets_.size();
  start_scatters();
  while (advance_scatter(true)) {
    while (advance_gather(false)) {
    }
  }
  while (advance_gather(true)) {
  }
  if (!overlaps_ || buckets_.empty()) return;
  const auto now = Clock::now();
  const double waited = std::chrono::duration<double>(now - waits_from) / (now - begun_);
  window_ = next_window(window_, buckets_.size(), waited);
}

// Starts whatever may start. A round follows the fold of the one before; a bucket's first follows the start
// of the last one of the bucket before it, so that all workers start the same ones in the same order. Once
// all are released backward is over, and nobody waits for anything else any more. Where a transport has one
// queue, gathers of a worker with a narrow window would wait for scatters that others started, which it would
// start only behind its gathers.
void GradientReducer::start_scatters() {
  const bool all = released_ == buckets_.size() || comm_.has_one_queue();
  for (; scattered_ < released_ && (all || scattered_ - gathered_ < window_); ++scattered_) {
    Bucket& bucket = buckets_[scattered_];
    if (bucket.scatters_started == bucket.folded) scatter(bucket, bucket.scatters_started++);
    if (bucket.scatters_started < rounds_.size()) return;
  }
}

void GradientReducer::start_gathers() {
  for (; gathering_ < folded_; ++gathering_) {
    Bucket& bucket = buckets_[gathering_];
    if (bucket.gathers_started == bucket.gathered) gather(bucket, rounds_.size() - ++bucket.gathers_started);
    if (bucket.gathers_started < rounds_.size()) return;
  }
}

// Ends a round of the first bucket that is not summed yet. False where none is under way, or it is not to be
// waited for.
bool GradientReducer::advance_scatter(bool waits) {
  if (folded_ == released_) return false;
  Bucket& bucket = buckets_[folded_];
  if (bucket.scatters_started == bucket.folded) return false;
  if (waits) bucket.scatter.wait();
  if (!bucket.scatter.test()) return false;
  fold(bucket, bucket.folded++);
  if (bucket.folded == rounds_.size()) ++folded_;
  start_scatters();
  start_gathers();
  return true;
}

bool GradientReducer::advance_gather(bool waits) {
  if (gathered_ == folded_) return false;
  Bucket& bucket = buckets_[gathered_];
  if (waits) bucket.gather.wait();
  if (!bucket.gather.test()) return false;
  if (++bucket.gathered == rounds_.size()) ++gathered_;
  start_scatters();
  start_gathers();
  return true;
}

bool GradientReducer::goes_whole(std::size_t bytes) const {
  const std::size_t slice = bytes / static_cast<std::size_t>(layout_.workers());
  const bool only_slices_are_short = bytes > options_.short_bytes && slice <= options_.short_bytes;
  return bytes <= options_.small_bytes && !only_slices_are_short;
}

// What the member of a round sums of `range`.
Range GradientReducer::piece(const Bucket& bucket, const Round& round, Range range, std::size_t member) {
  if (bucket.goes_whole) return range;
  const Range own = part(range.size(), std::ssize(round.members), static_cast<std::int64_t>(member));
  return {range.begin + own.begin, range.begin + own.end};
}

// All that a bucket will want, before anything is under way: a GPU may wait for all that it is at, and so for
// other workers, before it gives memory.
void GradientReducer::make_rooms(Bucket& bucket) const {
  if (layout_.workers() == 1) return;
  const auto room = [&](std::size_t nodes, Range range) {
    const std::size_t count = nodes * length(range);
    return count == 0 ? nullptr : memory_.floats(count);
  };
  for (std::size_t number = 0; number < rounds_.size(); ++number) {
    const Round& round = rounds_[number];
    std::size_t nodes = 0;
    for (const Round::Member& member : round.members) nodes += member.nodes.size();
    nodes -= round.members[round.self].nodes.size();
    bucket.received.push_back(room(std::max<std::size_t>(nodes, 1), bucket.ranges[number + 1]));
  }
  if (nodes_.size() > 1) bucket.packed = room(nodes_.size(), bucket.ranges[0]);
}

void GradientReducer::scatter(Bucket& bucket, std::size_t number) {
  const std::span<float> values = outgoing(bucket, number);
  bucket.own[number] = values.data();
  if (layout_.workers() == 1) return;
  const TraceSpan span(comm_.trace(), "reduce", bucket.name, "send");
  const Round& round = rounds_[number];
  const std::size_t own_nodes = round.node_count(round.self, present_);
  const std::size_t count = length(bucket.ranges[number + 1]);
  out_.clear();
  in_.clear();
  std::size_t sent = 0;
  float* place = bucket.received[number].get();
  for (std::size_t member = 0; member < round.members.size(); ++member) {
    const std::size_t theirs = own_nodes * length(piece(bucket, round, bucket.ranges[number], member));
    const std::span<float> piece_for = values.subspan(bucket.goes_whole ? 0 : sent, theirs);
    sent += theirs;
    if (member == round.self) {
      bucket.own[number] = piece_for.data();
      continue;
    }
    const std::span<float> received(place, round.node_count(member, present_) * count);
    place += received.size();
    out_.push_back({round.members[member].rank, piece_for});
    in_.push_back({round.members[member].rank, received});
  }
  bucket.scatter = comm_.exchange(Lane::scatter, bucket.name, out_, in_);
}

// Piece by piece, in each the present nodes in order: as it lies in memory where there is one node.
std::span<float> GradientReducer::outgoing(Bucket& bucket, std::size_t number) const {
  const Range range = bucket.ranges[number];
  if (number > 0) return {bucket.received[number - 1].get(), length(range)};
  const Round& round = rounds_.front();
  const std::size_t own_nodes = round.node_count(round.self, present_);
  if (own_nodes <= 1)
    return {arenas_.empty() ? nullptr : arenas_[0] + range.begin, own_nodes * length(range)};
  const std::span<float> packed(bucket.packed.get(), own_nodes * length(range));
  std::size_t at = 0;
  const std::size_t pieces = bucket.goes_whole ? 1 : round.members.size();
  for (std::size_t member = 0; member < pieces; ++member) {
    const Range its = piece(bucket, round, range, member);
    for (std::size_t node = 0; node < own_nodes; ++node) {
      memory_.copy(arenas_[node] + its.begin, packed.data() + at, length(its));
      at += length(its);
    }
  }
  return packed;
}

// Sums the own piece: to where the next round sends it from, or it is wanted.
void GradientReducer::fold(Bucket& bucket, std::size_t number) {
  const TraceSpan span(comm_.trace(), "reduce", bucket.name, "fold");
  const Round& round = rounds_[number];
  const Range range = bucket.ranges[number + 1];
  const bool last = number + 1 == rounds_.size();
  const Range tree = present_part(round.whole, present_);
  if (tree.empty()) return;
  parts_.clear();
  float* const received = layout_.workers() == 1 ? nullptr : bucket.received[number].get();
  float* others = received;
  for (std::size_t member = 0; member < round.members.size(); ++member) {
    float* own = bucket.own[number];
    float*& values = member == round.self ? own : others;
    round.each_node(member, present_, [&](Range node) {
      parts_.push_back({node, values});
      values += length(range);
    });
  }
  memory_.fold(tree, parts_, last ? sum_ + range.begin : received, length(range));
}

// Brings the others of a round what this worker has the sum of.
void GradientReducer::gather(Bucket& bucket, std::size_t number) {
  if (bucket.goes_whole || layout_.workers() == 1) return;
  const Round& round = rounds_[number];
  const auto sums = [&](std::size_t member) {
    const Range its = piece(bucket, round, bucket.ranges[number], member);
    return std::span<float>(sum_ + its.begin, length(its));
  };
  out_.clear();
  in_.clear();
  for (std::size_t member = 0; member < round.members.size(); ++member) {
    if (member == round.self) continue;
    out_.push_back({round.members[member].rank, sums(round.self)});
    in_.push_back({round.members[member].rank, sums(member)});
  }
  bucket.gather = comm_.exchange(Lane::gather, bucket.name, out_, in_);
}

}  // namespace lockstep
