#pragma once

#include <algorithm>
#include <cstdint>

namespace lockstep {

// Half-open range of shards, of samples or of anything that is counted.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool contains(Range other) const { return begin <= other.begin && other.end <= end; }
  bool operator==(const Range&) const = default;
};

// Part `index` of `total` things cut into `parts` contiguous parts: ⌊total/parts⌋ each, the first
// total mod parts have one more. Samples are cut into shards and shards into workers by this one rule.
constexpr Range part(std::int64_t total, std::int64_t parts, std::int64_t index) {
  const std::int64_t base = total / parts;
  const std::int64_t longer = total % parts;
  const std::int64_t begin = index * base + std::min(index, longer);
  return {begin, begin + base + (index < longer ? 1 : 0)};
}

// Who computes which shard of a global batch. Only `block` depends on the number of workers; which samples
// make a shard, and which shards are empty, does not.
class ShardLayout {
 public:
  ShardLayout(std::int64_t shards, int workers, int rank) : shards_(shards), workers_(workers), rank_(rank) {}

  std::int64_t shards() const { return shards_; }
  int workers() const { return workers_; }
  int rank() const { return rank_; }
  // The shards that worker `rank` owns.
  Range block(int rank) const { return part(shards_, workers_, rank); }
  Range block() const { return block(rank_); }
  // The worker whose block has `shard`.
  int owner(std::int64_t shard) const {
    const std::int64_t base = shards_ / workers_;
    const std::int64_t longer = shards_ % workers_;
    const std::int64_t in_longer = longer * (base + 1);
    return static_cast<int>(shard < in_longer ? shard / (base + 1) : longer + (shard - in_longer) / base);
  }

  // Samples of shard `shard` in a global batch of `global` samples.
  Range samples(std::int64_t global, std::int64_t shard) const { return part(global, shards_, shard); }
  // Shards that have a sample: always the first ones.
  std::int64_t present(std::int64_t global) const { return std::min(global, shards_); }

 private:
  std::int64_t shards_;
  int workers_;
  int rank_;
};

}  // namespace lockstep
