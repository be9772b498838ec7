#include "comm/gradients/reducer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "comm/gradients/buckets.h"
#include "comm/tree/fixed_tree.h"

namespace lockstep {

namespace {

struct Bucket {
  Range elements;
  std::vector<Range> pieces;  // who folds what: a piece a worker, or one that everybody folds
  Range own_piece;
  std::vector<float> packed;    // what this worker sends, where that is not one piece of memory already
  std::vector<float> received;  // own_piece of every node of every worker
  Pending scatter;
  Pending gather;
};

std::size_t length(Range range) {
  return static_cast<std::size_t>(range.size());
}

}  // namespace

// Buckets go through three stages, each in index order: scattered (started), folded (and their gather
// started), gathered. The order is the same on all workers, whatever finishes first.
struct GradientReducer::Impl {
  Impl(Communicator& communicator, const ShardLayout& shards, std::vector<Range> all_tensors, Options how);

  void begin(std::span<float* const> step_arenas, float* target, std::int64_t present_shards);
  void ready(std::size_t index);
  void progress();
  void finish();

  void start_scatter(Bucket& bucket);
  std::span<const float> pack(Bucket& bucket) const;
  void fold(Bucket& bucket);
  bool goes_whole(const Bucket& bucket) const { return bucket.pieces.size() == 1; }
  std::string name_of(const Bucket& bucket) const;

  Communicator& comm;
  ShardLayout layout;
  std::vector<Range> tensors;
  Options options;
  std::vector<Range> nodes;
  std::vector<Bucket> buckets;

  std::vector<const float*> arenas;
  float* out = nullptr;
  std::int64_t present = 0;
  std::vector<std::vector<Range>> present_nodes;  // of each worker
  std::size_t ready_tensors = 0;
  std::size_t scattered = 0;
  std::size_t folded = 0;
  std::size_t gathered = 0;
};

GradientReducer::Impl::Impl(Communicator& communicator, const ShardLayout& shards,
                            std::vector<Range> all_tensors, Options how)
    : comm(communicator),
      layout(shards),
      tensors(std::move(all_tensors)),
      options(how),
      nodes(maximal_subtrees({0, shards.shards()}, shards.block())) {
  for (const Range elements : plan_buckets(tensors, options.bucket_bytes / sizeof(float))) {
    Bucket& bucket = buckets.emplace_back();
    bucket.elements = elements;
    const bool small = length(elements) * sizeof(float) <= options.small_bytes;
    const int parts = small ? 1 : layout.workers();
    for (int index = 0; index < parts; ++index) {
      const Range piece = part(elements.size(), parts, index);
      bucket.pieces.push_back({elements.begin + piece.begin, elements.begin + piece.end});
    }
    bucket.own_piece = bucket.pieces[small ? 0 : static_cast<std::size_t>(layout.rank())];
  }
  scattered = folded = gathered = buckets.size();
  ready_tensors = tensors.size();
}

void GradientReducer::Impl::begin(std::span<float* const> step_arenas, float* target,
                                  std::int64_t present_shards) {
  if (gathered != buckets.size()) throw std::logic_error("the reducer's last step is not finished");
  if (step_arenas.size() != nodes.size() || present_shards < 1) {
    throw std::logic_error(fmt::format("{} gradient arenas for {} nodes, {} shards with samples",
                                       step_arenas.size(), nodes.size(), present_shards));
  }
  arenas.assign(step_arenas.begin(), step_arenas.end());
  out = target;
  present = std::min(present_shards, layout.shards());
  present_nodes.clear();
  for (int rank = 0; rank < layout.workers(); ++rank) {
    present_nodes.push_back(
        maximal_subtrees(present_part({0, layout.shards()}, present), layout.block(rank)));
  }
  ready_tensors = scattered = folded = gathered = 0;
}

void GradientReducer::Impl::ready(std::size_t index) {
  if (index != ready_tensors || index >= tensors.size()) {
    throw std::logic_error(
        fmt::format("gradient tensor {} is ready, tensor {} was next", index, ready_tensors));
  }
  ++ready_tensors;
  if (!options.overlap) return;
  const std::int64_t final_elements = tensors[index].end;
  while (scattered < buckets.size() && buckets[scattered].elements.end <= final_elements) {
    start_scatter(buckets[scattered++]);
  }
}

void GradientReducer::Impl::progress() {
  while (folded < scattered && buckets[folded].scatter.test()) fold(buckets[folded++]);
  while (gathered < folded && buckets[gathered].gather.test()) ++gathered;
}

void GradientReducer::Impl::finish() {
  if (ready_tensors != tensors.size()) {
    throw std::logic_error(fmt::format("{} of {} gradient tensors are ready", ready_tensors, tensors.size()));
  }
  while (scattered < buckets.size()) start_scatter(buckets[scattered++]);
  while (folded < buckets.size()) {
    buckets[folded].scatter.wait();
    fold(buckets[folded++]);
  }
  while (gathered < buckets.size()) buckets[gathered++].gather.wait();
}

void GradientReducer::Impl::start_scatter(Bucket& bucket) {
  if (layout.workers() == 1) return;
  std::vector<std::size_t> receives;
  std::size_t total = 0;
  for (const auto& theirs : present_nodes) {
    receives.push_back(theirs.size() * length(bucket.own_piece));
    total += receives.back();
  }
  bucket.received.resize(total);
  const std::span<const float> outgoing = pack(bucket);
  const std::span<float> incoming(bucket.received);
  if (goes_whole(bucket)) {
    bucket.scatter = comm.all_gather(Lane::scatter, name_of(bucket), outgoing, incoming, receives);
    return;
  }
  const std::size_t own_nodes = present_nodes[static_cast<std::size_t>(layout.rank())].size();
  std::vector<std::size_t> sends;
  for (const Range piece : bucket.pieces) sends.push_back(own_nodes * length(piece));
  bucket.scatter = comm.all_to_all(Lane::scatter, name_of(bucket), outgoing, sends, incoming, receives);
}

// Piece by piece, in each the present nodes in order: as the arena has it where there is one node.
std::span<const float> GradientReducer::Impl::pack(Bucket& bucket) const {
  const std::size_t own_nodes = present_nodes[static_cast<std::size_t>(layout.rank())].size();
  if (own_nodes == 1) return {arenas[0] + bucket.elements.begin, length(bucket.elements)};
  bucket.packed.clear();
  for (const Range piece : bucket.pieces) {
    for (std::size_t node = 0; node < own_nodes; ++node) {
      bucket.packed.insert(bucket.packed.end(), arenas[node] + piece.begin, arenas[node] + piece.end);
    }
  }
  return bucket.packed;
}

// Folds the own piece; where others have the rest, starts to gather it.
void GradientReducer::Impl::fold(Bucket& bucket) {
  const bool alone = layout.workers() == 1;
  const std::size_t count = length(bucket.own_piece);
  const float* next = alone ? arenas[0] + bucket.own_piece.begin : bucket.received.data();
  std::vector<Part<const float>> parts;
  for (const auto& theirs : present_nodes) {
    for (const Range node : theirs) {
      parts.push_back({node, next});
      next += count;
    }
  }
  const Range tree = present_part({0, layout.shards()}, present);
  float* const sums = out + bucket.elements.begin;
  if (alone || goes_whole(bucket)) {
    fold_sums(tree, parts, sums, count);
    return;
  }
  fold_sums(tree, parts, bucket.received.data(), count);
  std::vector<std::size_t> counts;
  for (const Range piece : bucket.pieces) counts.push_back(length(piece));
  bucket.gather =
      comm.all_gather(Lane::gather, name_of(bucket), std::span<const float>(bucket.received).first(count),
                      std::span<float>(sums, length(bucket.elements)), counts);
}

std::string GradientReducer::Impl::name_of(const Bucket& bucket) const {
  return fmt::format("gradients [{}, {})", bucket.elements.begin, bucket.elements.end);
}

GradientReducer::GradientReducer(Communicator& comm, const ShardLayout& layout, std::vector<Range> tensors,
                                 Options options)
    : impl_(std::make_unique<Impl>(comm, layout, std::move(tensors), options)) {}
GradientReducer::~GradientReducer() = default;

const std::vector<Range>& GradientReducer::nodes() const {
  return impl_->nodes;
}
void GradientReducer::begin(std::span<float* const> arenas, float* out, std::int64_t present) {
  impl_->begin(arenas, out, present);
}
void GradientReducer::ready(std::size_t index) {
  impl_->ready(index);
}
void GradientReducer::progress() {
  impl_->progress();
}
void GradientReducer::finish() {
  impl_->finish();
}

}  // namespace lockstep
