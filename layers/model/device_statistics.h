#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "layers/model/affine_storage.h"
#include "layers/model/step_statistics.h"
#include "layers/nn/batch_norm.h"
#include "layers/ops/memory.h"

namespace lockstep {

// A step's statistics as the device sees them. What shards bring to an exchange is made there and goes to the
// host, which talks to the other workers; what comes of it goes back. Where the device is the host they are
// StepStatistics' own, and nothing is moved. A shard is counted from the block's first.
class DeviceStatistics {
 public:
  DeviceStatistics(const Device& device, const std::vector<const BatchNorm*>& norms, std::size_t shards);

  // Where shard `shard` leaves its moments or sums of layer `norm`: 2 × channels values.
  double* leaf(StepStatistics& statistics, std::size_t norm, std::size_t shard) const;
  void bring_leaves(StepStatistics& statistics, std::size_t norm) const;

  // What the last exchange made of them, or `fixed`: an affine a batch_norm.
  void send_affines(const StepStatistics& statistics, std::size_t norm);
  void send_affines(std::span<const AffineStorage> fixed);
  void send_group_sums(const StepStatistics& statistics, std::size_t norm);
  norm::Affine affine(const StepStatistics& statistics, std::size_t norm, std::size_t shard) const;
  norm::Affine affine(std::span<const AffineStorage> fixed, std::size_t norm) const;
  norm::GroupSums group_sums(const StepStatistics& statistics, std::size_t norm, std::size_t shard) const;

 private:
  struct PerLayer {
    std::size_t channels = 0;
    Memory leaves;   // of a shard each; after the exchange, its group's sums
    Memory affines;  // of a shard each; fixed ones: the first
    std::size_t width() const { return 2 * channels; }
  };
  norm::Affine affine_at(std::size_t norm, std::size_t shard) const;

  const Device& device_;
  std::size_t shards_;
  std::vector<PerLayer> layers_;
  std::vector<float> affines_;  // on their way
  std::vector<double> sums_;
};

// Parameters of batch_norms for the host, which makes affines of them.
class NormParameters {
 public:
  // parts: where they lie in the arena, in floats.
  NormParameters(const Device& device, std::vector<Range> parts);
  // Answers an arena of which only the batch_norms' parameters are to be read, as they are on the device now.
  const float* bring(const float* arena);

 private:
  const Device& device_;
  std::vector<Range> parts_;
  std::vector<float> arena_;
};

}  // namespace lockstep
