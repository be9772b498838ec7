#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/gradients/memory.h"
#include "comm/tree/rounds.h"
#include "comm/tree/shard_layout.h"

namespace lockstep {

// Sums gradients over all shards of all workers, bucket by bucket, while backward still runs.
//
// Each worker brings one arena a node of `maximal_subtrees(whole tree, own block)`: that node's gradients.
// A bucket is scattered (all-to-all of slices), its slice folded along the fixed tree, and gathered; a small
// one is all-gathered whole and folded by everyone, unless slices are short enough to leave without asking
// the receiver first, as longer messages of MPI do: then two such ways are shorter than one. Where workers
// are many this goes in rounds: neighbours first, whose sums their slices are, then groups of neighbours. The
// bits are the same (rule 5).
class GradientReducer {
 public:
  struct Options {
    std::size_t bucket_bytes = 4 << 20;
    std::size_t small_bytes = 32 << 10;  // up to here a bucket goes in one all-gather, but
    std::size_t short_bytes = 2 << 10;   // in slices where these are so short, and it is not
    bool overlap = true;                 // false: everything is sent in `finish`
    int most_at_once = 32;               // workers that meet; where there are more, in rounds (tree/rounds.h)
    // Buckets that are under way at a time in the first step, while tensors are still to come; from then on
    // it is next_window (window.h). There is none where a transport has one queue.
    std::size_t window = std::numeric_limits<std::size_t>::max();
    // Where the arenas lie, as long as the reducer is; null: in this process's memory. A communicator has to
    // take such memory.
    const GradientMemory* memory = nullptr;
  };

  // tensors: as plan_buckets has them. All memory that steps need is made here.
  GradientReducer(Communicator& comm, const ShardLayout& layout, std::vector<Range> tensors, Options options);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // How many arenas this worker brings, and the shards of each. In a batch where a node has no sample its
  // arena is ignored.
  const std::vector<Range>& nodes() const { return nodes_; }

  // Begins a step. arenas[i] is the gradient arena of nodes()[i], `out` the sum; all as long as the tensors
  // together, and all left alone by the caller from `ready` of a tensor to the end of `finish`, when only
  // `out` holds what it should. `out` may be arenas[0]. `present`: shards that have samples, at least one.
  // overlap: false sends everything in `finish`, whatever the options say.
  void begin(std::span<float* const> arenas, float* out, std::int64_t present, bool overlap = true);
  // Tensor `index` is final in all arenas. Called in index order.
  void ready(std::size_t index);
  // Polls what is under way; never blocks. Called between operations.
  void progress();
  // Waits until `out` holds every sum. All tensors are final by now.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  struct Bucket;

  bool goes_whole(std::size_t bytes) const;
  static Range piece(const Bucket& bucket, const Round& round, Range range, std::size_t member);
  void start_scatters();
  void start_gathers();
  bool advance_scatter(bool waits);
  bool advance_gather(bool waits);
  void scatter(Bucket& bucket, std::size_t number);
  void make_rooms(Bucket& bucket) const;
  std::span<float> outgoing(Bucket& bucket, std::size_t number) const;
  void fold(Bucket& bucket, std::size_t number);
  void gather(Bucket& bucket, std::size_t number);

  Communicator& comm_;
  ShardLayout layout_;
  std::vector<Range> tensors_;
  Options options_;
  GradientMemory own_memory_;
  const GradientMemory& memory_;
  std::vector<Range> nodes_;
  std::vector<Round> rounds_;
  std::vector<Bucket> buckets_;
  std::size_t window_;

  // Of the call that is being made; kept for their memory.
  std::vector<Outgoing<float>> out_;
  std::vector<Incoming<float>> in_;
  std::vector<Part<float>> parts_;

  // The step under way.
  std::vector<float*> arenas_;
  float* sum_ = nullptr;
  std::int64_t present_ = 0;
  bool overlaps_ = true;
  Clock::time_point begun_;
  std::size_t ready_tensors_ = 0;
  // Buckets go through these stages, each in index order, which is the same on all workers whatever finishes
  // first. How many are ready to go, had all scatters started, are folded, had all gathers started, are
  // gathered.
  std::size_t released_ = 0;
  std::size_t scattered_ = 0;
  std::size_t folded_ = 0;
  std::size_t gathering_ = 0;
  std::size_t gathered_ = 0;
};

}  // namespace lockstep
