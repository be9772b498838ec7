#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

// How the shards of a batch divide over the threads that compute. A worker owns a block of shards, and its
// threads take whole ones, so all wait for the thread that has the most.
class Division {
 public:
  // threads: of each worker, by rank.
  Division(std::int64_t shards, std::vector<int> threads);

  // Shards that the busiest thread computes, one after the other.
  std::int64_t rounds() const;
  // The share of their time that the threads compute, where all shards take equally long.
  double busy() const;

  // "8 shards on 7 workers keep them 57 % busy", and what would be better. batch: samples of one.
  std::string in_words(std::int64_t batch) const;

 private:
  std::vector<std::string> remedies(std::int64_t batch) const;

  std::int64_t shards_;
  std::vector<int> threads_;
  std::int64_t all_threads_;
};

}  // namespace lockstep
