#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/tree/exchange.h"
#include "layers/model/affine_storage.h"
#include "layers/model/population_moments.h"
#include "layers/model/running_buffers.h"
#include "layers/nn/batch_norm.h"
#include "layers/ops/norm.h"

namespace lockstep {

// One step's statistics: from shards' moments to statistics of groups, and back for the gradient sums.
class StepStatistics {
 public:
  StepStatistics(const std::vector<const BatchNorm*>& norms, const ShardLayout& layout, std::int64_t group,
                 double eps);

  bool global() const { return group_ == layout_.shards(); }
  void begin(std::int64_t global_samples);

  // What shard `shard` (counted from the block's first) brings to the exchange of layer `norm`: 2 × channels
  // values.
  std::span<double> leaf(std::size_t norm, std::size_t shard);
  // Merges the shards' moments over the workers and makes the groups' statistics. Blocks on one exchange at
  // most.
  void meet_moments(Communicator& comm, std::size_t norm, const float* gamma, const float* beta);
  // The same for the backward sums (Σ dz, Σ dz·x̂).
  void meet_sums(Communicator& comm, std::size_t norm);
  // All layers' backward sums in one exchange, where nothing waits for each layer's own. Statistics are
  // global.
  void meet_all_sums(Communicator& comm);

  norm::Affine affine(std::size_t norm, std::size_t shard) const;
  norm::GroupSums group_sums(std::size_t norm, std::size_t shard) const;
  // The whole batch's sums of layer `norm`, where statistics are global: its parameters' gradients.
  std::span<const double> global_sums(std::size_t norm) const { return layers_[norm].sums; }

  // Every layer's statistics of the step into the running ones. Where groups do not span the batch, one
  // exchange for all layers. Answers the name of the first layer whose statistics are not finite, the same on
  // all workers; else empty.
  std::string update(Communicator& comm, RunningBuffers& running);
  // Adds the batch's moments, over all of its groups, to those of other batches. Exchanges like `update`.
  void add_to(Communicator& comm, PopulationMoments& population);

  // Whether some group of a batch of `global_samples` would have a single value a channel in layer `norm`.
  bool undefined_variance(std::size_t norm, std::int64_t global_samples) const;

 private:
  struct PerLayer {
    const BatchNorm* layer;
    std::string moments_name, sums_name;
    std::vector<double> leaves;   // own shards
    std::vector<double> moments;  // own shards' moments, kept where running statistics need them again
    std::vector<double> merged;   // own groups' moments
    std::vector<double> sums;     // own groups' backward sums
    std::vector<AffineStorage> affine;
    std::size_t width() const { return static_cast<std::size_t>(2 * layer->channels()); }
  };

  // At the first step: a trained network takes none, however many shards its file tells of.
  void allocate();
  std::size_t own_group(std::size_t shard) const;
  std::int64_t samples(Range shards, std::int64_t global_samples) const;
  std::int64_t count(const PerLayer& it, Range shards) const {
    return samples(shards, global_samples_) * it.layer->input().pixels();
  }
  bool absent(Range shards) const { return shards.begin >= present_; }
  // Calls visit(offset, layer) for each layer; offset: where its values lie in a row of all layers' values.
  template <class Visit>
  void for_each_layer(const Visit& visit) const {
    std::size_t offset = 0;
    for (const PerLayer& it : layers_) {
      visit(offset, it);
      offset += it.width();
    }
  }
  // A row for each shard or group, of all layers' values one behind the other.
  std::vector<double> side_by_side(const std::vector<double> PerLayer::*values) const;
  // All groups' moments of all layers, a row each; one exchange where groups do not span the batch.
  std::vector<double> all_moments(Communicator& comm);

  ShardLayout layout_;
  std::int64_t group_;
  double eps_;
  TreeExchange exchange_;
  std::vector<PerLayer> layers_;
  std::size_t total_width_ = 0;  // of all layers
  std::int64_t global_samples_ = 0;
  std::int64_t present_ = 0;
};

}  // namespace lockstep
