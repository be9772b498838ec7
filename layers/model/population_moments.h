#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/nn/batch_norm.h"

namespace lockstep {

// Moments of every batch_norm's input over several batches, weighted by true counts: what `precise` running
// statistics are made of. Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3.
class PopulationMoments {
 public:
  explicit PopulationMoments(std::span<const BatchNorm* const> norms);

  // moments: `channels` means, then `channels` sums of squared deviations (M2), of `count` values a channel.
  // Merged in the order of the calls.
  void add(std::size_t norm, std::span<const double> moments, std::int64_t count);

  std::span<const double> mean(std::size_t norm) const;
  std::vector<double> unbiased_variance(std::size_t norm) const;

 private:
  struct Moments {
    std::vector<double> values;  // as in `add`
    std::int64_t count = 0;
  };
  std::vector<Moments> norms_;
};

}  // namespace lockstep
