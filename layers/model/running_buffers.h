#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "layers/model/population_moments.h"
#include "layers/model/running_statistics.h"
#include "layers/nn/batch_norm.h"
#include "layers/nn/parameter.h"

namespace lockstep {

// Running statistics of all batch_norm layers in all kept entries.
class RunningBuffers {
 public:
  RunningBuffers(std::vector<const BatchNorm*> norms, std::vector<RunningStatistics> entries);

  void reset();  // mean 0, variance 1, no batches
  // One step's statistics of layer `norm`: mean and unbiased variance a channel. `precise` entries stay.
  void update(std::size_t norm, std::span<const double> mean, std::span<const double> unbiased_variance);
  // What `batches` batches gave, into the `precise` entries. Answers the name of the first layer whose
  // statistics are not finite, else empty.
  std::string set_precise(const PopulationMoments& population, std::int64_t batches);
  std::span<const float> mean(std::size_t entry, std::size_t norm) const { return at(entry, norm).mean; }
  std::span<const float> variance(std::size_t entry, std::size_t norm) const {
    return at(entry, norm).variance;
  }
  // All of them by name; the first entry under PyTorch's names.
  std::vector<ModelTensor> tensors();

 private:
  struct Buffers {
    std::vector<float> mean, variance;
    std::int64_t batches = 0;
  };
  const Buffers& at(std::size_t entry, std::size_t norm) const {
    return buffers_[entry * norms_.size() + norm];
  }

  std::vector<const BatchNorm*> norms_;
  std::vector<RunningStatistics> entries_;
  std::vector<Buffers> buffers_;  // entry after entry
};

}  // namespace lockstep
