#include "comm/gradients/reducer.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "comm/gradients/buckets.h"
#include "comm/tree/fixed_tree.h"

namespace lockstep {

namespace {

std::size_t length(Range range) {
  return static_cast<std::size_t>(range.size());
}

}  // namespace

struct GradientReducer::Bucket {
  Range elements;
  std::vector<Range> pieces;  // what each worker folds; or one, which everybody folds
  Range own_piece;
  std::vector<float> packed;    // what this worker sends, where that is not one piece of memory already
  std::vector<float> received;  // own_piece of every present node of every worker
  Pending scatter;
  Pending gather;

  bool goes_whole() const { return pieces.size() == 1; }
  std::string name() const { return fmt::format("gradients [{}, {})", elements.begin, elements.end); }
};

GradientReducer::GradientReducer(Communicator& comm, const ShardLayout& layout, std::vector<Range> tensors,
                                 Options options)
    : comm_(comm),
      layout_(layout),
      tensors_(std::move(tensors)),
      options_(options),
      nodes_(maximal_subtrees({0, layout.shards()}, layout.block())) {
  for (const Range elements : plan_buckets(tensors_, options_.bucket_bytes / sizeof(float))) {
    Bucket& bucket = buckets_.emplace_back();
    bucket.elements = elements;
    const bool small = length(elements) * sizeof(float) <= options_.small_bytes;
    const int parts = small ? 1 : layout_.workers();
    for (int index = 0; index < parts; ++index) {
      const Range piece = part(elements.size(), parts, index);
      bucket.pieces.push_back({elements.begin + piece.begin, elements.begin + piece.end});
    }
    bucket.own_piece = bucket.pieces[small ? 0 : static_cast<std::size_t>(layout_.rank())];
  }
  ready_tensors_ = tensors_.size();
  scattered_ = folded_ = gathered_ = buckets_.size();
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::begin(std::span<float* const> arenas, float* out, std::int64_t present) {
  if (gathered_ != buckets_.size()) throw std::logic_error("the reducer's last step is not finished");
  if (arenas.size() != nodes_.size() || present < 1) {
    throw std::logic_error(fmt::format("{} gradient arenas for {} nodes, {} shards with samples",
                                       arenas.size(), nodes_.size(), present));
  }
  arenas_.assign(arenas.begin(), arenas.end());
  out_ = out;
  const Range whole{0, layout_.shards()};
  tree_ = present_part(whole, present);
  present_nodes_.assign(static_cast<std::size_t>(layout_.workers()), {});
  for (int rank = 0; rank < layout_.workers(); ++rank) {
    auto& nodes = present_nodes_[static_cast<std::size_t>(rank)];
    for (const Range node : maximal_subtrees(whole, layout_.block(rank))) {
      if (node.begin < tree_.end) nodes.push_back(present_part(node, present));
    }
  }
  ready_tensors_ = scattered_ = folded_ = gathered_ = 0;
}

void GradientReducer::ready(std::size_t index) {
  if (index != ready_tensors_ || index >= tensors_.size()) {
    throw std::logic_error(
        fmt::format("gradient tensor {} is ready, tensor {} was next", index, ready_tensors_));
  }
  ++ready_tensors_;
  if (!options_.overlap) return;
  const std::int64_t ready_elements = tensors_[index].end;
  while (scattered_ < buckets_.size() && buckets_[scattered_].elements.end <= ready_elements) {
    scatter(buckets_[scattered_++]);
  }
}

void GradientReducer::progress() {
  while (folded_ < scattered_ && buckets_[folded_].scatter.test()) fold(buckets_[folded_++]);
  while (gathered_ < folded_ && buckets_[gathered_].gather.test()) ++gathered_;
}

void GradientReducer::finish() {
  if (ready_tensors_ != tensors_.size()) {
    throw std::logic_error(
        fmt::format("{} of {} gradient tensors are ready", ready_tensors_, tensors_.size()));
  }
  while (scattered_ < buckets_.size()) scatter(buckets_[scattered_++]);
  while (folded_ < buckets_.size()) {
    buckets_[folded_].scatter.wait();
    fold(buckets_[folded_++]);
  }
  while (gathered_ < buckets_.size()) buckets_[gathered_++].gather.wait();
}

void GradientReducer::scatter(Bucket& bucket) {
  if (layout_.workers() == 1) return;
  const std::string name = bucket.name();
  const TraceSpan span(comm_.trace(), "reduce", name, "send");
  std::vector<std::size_t> receives;
  std::size_t total = 0;
  for (const auto& nodes : present_nodes_) {
    receives.push_back(nodes.size() * length(bucket.own_piece));
    total += receives.back();
  }
  bucket.received.resize(total);
  const std::span<const float> outgoing = pack(bucket);
  const std::span<float> incoming(bucket.received);
  if (bucket.goes_whole()) {
    bucket.scatter = comm_.all_gather(Lane::scatter, name, outgoing, incoming, receives);
    return;
  }
  std::vector<std::size_t> sends;
  for (const Range piece : bucket.pieces) sends.push_back(own_node_count() * length(piece));
  bucket.scatter = comm_.all_to_all(Lane::scatter, name, outgoing, sends, incoming, receives);
}

// Piece by piece, in each the present nodes in order: as the arena has it where there is one node.
std::span<const float> GradientReducer::pack(Bucket& bucket) const {
  if (own_node_count() == 1) return {arenas_[0] + bucket.elements.begin, length(bucket.elements)};
  bucket.packed.clear();
  for (const Range piece : bucket.pieces) {
    for (std::size_t node = 0; node < own_node_count(); ++node) {
      bucket.packed.insert(bucket.packed.end(), arenas_[node] + piece.begin, arenas_[node] + piece.end);
    }
  }
  return bucket.packed;
}

// Sums the own piece; where others sum the rest, starts to gather it.
void GradientReducer::fold(Bucket& bucket) {
  const std::string name = bucket.name();
  const TraceSpan span(comm_.trace(), "reduce", name, "fold");
  const bool alone = layout_.workers() == 1;
  const std::size_t count = length(bucket.own_piece);
  const float* values = alone ? arenas_[0] + bucket.own_piece.begin : bucket.received.data();
  std::vector<Part<const float>> parts;
  for (const auto& nodes : present_nodes_) {
    for (const Range node : nodes) {
      parts.push_back({node, values});
      values += count;
    }
  }
  const std::span<float> sums(out_ + bucket.elements.begin, length(bucket.elements));
  if (bucket.goes_whole()) {
    fold_sums(tree_, parts, sums.data(), count);
    return;
  }
  fold_sums(tree_, parts, bucket.received.data(), count);
  std::vector<std::size_t> counts;
  for (const Range piece : bucket.pieces) counts.push_back(length(piece));
  const std::span<const float> own_sums(bucket.received.data(), count);
  bucket.gather = comm_.all_gather(Lane::gather, name, own_sums, sums, counts);
}

}  // namespace lockstep
