#include "layers/model/device_statistics.h"

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

constexpr std::size_t affine_arrays = 4;

// An affine's four arrays, which lie one behind the other.
norm::Affine cut(const float* start, std::size_t channels) {
  const std::span all(start, affine_arrays * channels);
  return {.mean = all.subspan(0, channels),
          .inverse_deviation = all.subspan(channels, channels),
          .scale = all.subspan(2 * channels, channels),
          .shift = all.subspan(3 * channels, channels)};
}

void append(std::vector<float>& values, const norm::Affine& affine) {
  for (const auto part : {affine.mean, affine.inverse_deviation, affine.scale, affine.shift}) {
    values.insert(values.end(), part.begin(), part.end());
  }
}

// Neighbours as one.
std::vector<Range> joined(std::vector<Range> parts) {
  std::ranges::sort(parts, {}, &Range::begin);
  std::vector<Range> all;
  for (const Range part : parts) {
    if (!all.empty() && all.back().end == part.begin) {
      all.back().end = part.end;
    } else {
      all.push_back(part);
    }
  }
  return all;
}

}  // namespace

DeviceStatistics::DeviceStatistics(const Device& device, const std::vector<const BatchNorm*>& norms,
                                   std::size_t shards)
    : device_(device), shards_(shards) {
  if (device.is_host()) return;
  layers_.reserve(norms.size());
  for (const BatchNorm* layer : norms) {
    const auto channels = static_cast<std::size_t>(layer->channels());
    layers_.push_back({.channels = channels,
                       .leaves = Memory(device, shards * 2 * channels * sizeof(double)),
                       .affines = Memory(device, shards * affine_arrays * channels * sizeof(float))});
  }
}

double* DeviceStatistics::leaf(StepStatistics& statistics, std::size_t norm, std::size_t shard) const {
  if (device_.is_host()) return statistics.leaf(norm, shard).data();
  return layers_[norm].leaves.data<double>() + shard * layers_[norm].width();
}

void DeviceStatistics::bring_leaves(StepStatistics& statistics, std::size_t norm) const {
  if (device_.is_host()) return;
  device_.copy_out(statistics.leaf(norm, 0).data(), layers_[norm].leaves.data(), layers_[norm].leaves.size());
}

void DeviceStatistics::send_affines(const StepStatistics& statistics, std::size_t norm) {
  if (device_.is_host()) return;
  affines_.clear();
  for (std::size_t shard = 0; shard < shards_; ++shard) append(affines_, statistics.affine(norm, shard));
  device_.copy_in(layers_[norm].affines.data(), affines_.data(), layers_[norm].affines.size());
}

void DeviceStatistics::send_affines(std::span<const AffineStorage> fixed) {
  if (device_.is_host()) return;
  for (std::size_t norm = 0; norm < fixed.size(); ++norm) {
    affines_.clear();
    append(affines_, fixed[norm].affine());
    device_.copy_in(layers_[norm].affines.data(), affines_.data(), affines_.size() * sizeof(float));
  }
}

void DeviceStatistics::send_group_sums(const StepStatistics& statistics, std::size_t norm) {
  if (device_.is_host()) return;
  sums_.clear();
  for (std::size_t shard = 0; shard < shards_; ++shard) {
    const norm::GroupSums sums = statistics.group_sums(norm, shard);
    sums_.insert(sums_.end(), sums.dz.begin(), sums.dz.end());
    sums_.insert(sums_.end(), sums.dz_xhat.begin(), sums.dz_xhat.end());
  }
  device_.copy_in(layers_[norm].leaves.data(), sums_.data(), layers_[norm].leaves.size());
}

norm::Affine DeviceStatistics::affine_at(std::size_t norm, std::size_t shard) const {
  const std::size_t channels = layers_[norm].channels;
  return cut(layers_[norm].affines.data<float>() + shard * affine_arrays * channels, channels);
}

norm::Affine DeviceStatistics::affine(const StepStatistics& statistics, std::size_t norm,
                                      std::size_t shard) const {
  return device_.is_host() ? statistics.affine(norm, shard) : affine_at(norm, shard);
}

norm::Affine DeviceStatistics::affine(std::span<const AffineStorage> fixed, std::size_t norm) const {
  return device_.is_host() ? fixed[norm].affine() : affine_at(norm, 0);
}

norm::GroupSums DeviceStatistics::group_sums(const StepStatistics& statistics, std::size_t norm,
                                             std::size_t shard) const {
  norm::GroupSums sums = statistics.group_sums(norm, shard);
  if (device_.is_host()) return sums;
  const PerLayer& it = layers_[norm];
  const double* const start = it.leaves.data<double>() + shard * it.width();
  sums.dz = {start, it.channels};
  sums.dz_xhat = {start + it.channels, it.channels};
  return sums;
}

NormParameters::NormParameters(const Device& device, std::vector<Range> parts)
    : device_(device), parts_(joined(std::move(parts))) {
  if (device.is_host() || parts_.empty()) return;
  arena_.resize(static_cast<std::size_t>(parts_.back().end));
}

const float* NormParameters::bring(const float* arena) {
  if (device_.is_host()) return arena;
  for (const Range part : parts_) {
    device_.copy_out(arena_.data() + part.begin, arena + part.begin,
                     static_cast<std::size_t>(part.size()) * sizeof(float));
  }
  return arena_.data();
}

}  // namespace lockstep
