#include "layers/model/step_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lockstep {

StepStatistics::StepStatistics(const std::vector<const BatchNorm*>& norms, const ShardLayout& layout,
                               std::int64_t group, double eps)
    : layout_(layout), group_(group), eps_(eps), exchange_(layout, group) {
  layers_.reserve(norms.size());
  for (const BatchNorm* layer : norms) {
    layers_.push_back({.layer = layer,
                       .moments_name = layer->name() + " moments",
                       .sums_name = layer->name() + " gradient sums",
                       .leaves = {},
                       .moments = {},
                       .merged = {},
                       .sums = {},
                       .affine = {}});
    total_width_ += layers_.back().width();
  }
}

void StepStatistics::allocate() {
  const auto shards = static_cast<std::size_t>(layout_.block().size());
  const auto groups = static_cast<std::size_t>(exchange_.own_groups().size());
  for (PerLayer& it : layers_) {
    it.leaves.resize(shards * it.width());
    it.merged.resize(groups * it.width());
    it.sums.resize(groups * it.width());
    it.affine.resize(groups, AffineStorage(it.layer->channels()));
  }
}

void StepStatistics::begin(std::int64_t global_samples) {
  allocate();
  global_samples_ = global_samples;
  present_ = layout_.present(global_samples);
}

std::span<double> StepStatistics::leaf(std::size_t norm, std::size_t shard) {
  PerLayer& it = layers_[norm];
  return std::span(it.leaves).subspan(shard * it.width(), it.width());
}

std::size_t StepStatistics::own_group(std::size_t shard) const {
  const std::int64_t group = (layout_.block().begin + static_cast<std::int64_t>(shard)) / group_;
  return static_cast<std::size_t>(group - exchange_.own_groups().begin);
}

std::int64_t StepStatistics::samples(Range shards, std::int64_t global_samples) const {
  return layout_.samples(global_samples, shards.end - 1).end -
         layout_.samples(global_samples, shards.begin).begin;
}

void StepStatistics::meet_moments(Communicator& comm, std::size_t norm, const float* gamma,
                                  const float* beta) {
  PerLayer& it = layers_[norm];
  const auto channels = static_cast<std::size_t>(it.layer->channels());
  if (!global()) it.moments = it.leaves;
  exchange_.run(comm, it.moments_name, present_, it.width(), it.leaves,
                moments_of(channels, [&](Range shards) { return count(it, shards); }), it.merged);

  std::vector<double> variance(channels);
  const Range groups = exchange_.own_groups();
  for (std::int64_t group = groups.begin; group < groups.end; ++group) {
    if (absent(exchange_.group(group))) continue;
    const auto number = static_cast<std::size_t>(group - groups.begin);
    const auto moments = std::span(it.merged).subspan(number * it.width(), it.width());
    const auto values = static_cast<double>(count(it, exchange_.group(group)));
    std::ranges::transform(moments.subspan(channels), variance.begin(),
                           [&](double m2) { return m2 / values; });
    it.affine[number].set(moments.first(channels), variance, eps_, gamma, beta);
  }
}

void StepStatistics::meet_sums(Communicator& comm, std::size_t norm) {
  PerLayer& it = layers_[norm];
  exchange_.run(comm, it.sums_name, present_, it.width(), it.leaves, sum_of(it.width()), it.sums);
}

norm::Affine StepStatistics::affine(std::size_t norm, std::size_t shard) const {
  return layers_[norm].affine[own_group(shard)].affine();
}

norm::GroupSums StepStatistics::group_sums(std::size_t norm, std::size_t shard) const {
  const PerLayer& it = layers_[norm];
  const auto channels = static_cast<std::size_t>(it.layer->channels());
  const std::size_t number = own_group(shard);
  const auto sums = std::span(it.sums).subspan(number * it.width(), it.width());
  const Range shards = exchange_.group(exchange_.own_groups().begin + static_cast<std::int64_t>(number));
  return {.dz = sums.first(channels), .dz_xhat = sums.subspan(channels), .count = count(it, shards)};
}

std::vector<double> StepStatistics::side_by_side(const std::vector<double> PerLayer::*values) const {
  std::vector<double> rows;
  for_each_layer([&](std::size_t offset, const PerLayer& it) {
    const std::span<const double> from = it.*values;
    const std::size_t count = from.size() / it.width();
    rows.resize(count * total_width_);
    for (std::size_t row = 0; row < count; ++row) {
      std::ranges::copy(from.subspan(row * it.width(), it.width()),
                        std::span(rows).subspan(row * total_width_ + offset).begin());
    }
  });
  return rows;
}

void StepStatistics::meet_all_sums(Communicator& comm) {
  if (layers_.empty()) return;
  std::vector<double> leaves = side_by_side(&PerLayer::leaves);
  std::vector<double> sums(total_width_);
  exchange_.run(comm, "gradient sums", present_, total_width_, leaves, sum_of(total_width_), sums);
  std::size_t offset = 0;
  for (PerLayer& it : layers_) {
    std::ranges::copy(std::span(sums).subspan(offset, it.width()), it.sums.begin());
    offset += it.width();
  }
}

std::vector<double> StepStatistics::all_moments(Communicator& comm) {
  if (global() || layers_.empty()) return side_by_side(&PerLayer::merged);

  std::vector<Combine> merges;
  for (const PerLayer& it : layers_) {
    merges.push_back(moments_of(static_cast<std::size_t>(it.layer->channels()),
                                [this, &it](Range shards) { return count(it, shards); }));
  }
  const Combine merge_all = [&](Range left_node, double* left, Range right_node, const double* right) {
    std::size_t at = 0;
    for (std::size_t norm = 0; norm < layers_.size(); ++norm) {
      merges[norm](left_node, left + at, right_node, right + at);
      at += layers_[norm].width();
    }
  };
  std::vector<double> leaves = side_by_side(&PerLayer::moments);
  std::vector<double> all(static_cast<std::size_t>(exchange_.groups()) * total_width_);
  exchange_.run(comm, "running statistics", present_, total_width_, leaves, merge_all, all, true);
  return all;
}

// The count-weighted mean over the groups of (mean, unbiased variance); with one group, just that.
std::string StepStatistics::update(Communicator& comm, RunningBuffers& running) {
  const std::vector<double> moments = all_moments(comm);
  // In fp32, which running statistics are kept in.
  const auto finite = [](double value) { return std::isfinite(static_cast<float>(value)); };
  std::string first_bad;
  std::size_t norm = 0;
  for_each_layer([&](std::size_t offset, const PerLayer& it) {
    const auto channels = static_cast<std::size_t>(it.layer->channels());
    const auto all = static_cast<double>(global_samples_ * it.layer->input().pixels());
    std::vector<double> mean(channels, 0.0);
    std::vector<double> variance(channels, 0.0);
    for (std::int64_t group = 0; group < exchange_.groups() && !absent(exchange_.group(group)); ++group) {
      const auto group_moments =
          std::span(moments).subspan(static_cast<std::size_t>(group) * total_width_ + offset, it.width());
      const auto values = static_cast<double>(count(it, exchange_.group(group)));
      const double weight = values / all;
      for (std::size_t c = 0; c < channels; ++c) {
        mean[c] += weight * group_moments[c];
        variance[c] += weight * (group_moments[channels + c] / (values - 1.0));
      }
    }
    if (first_bad.empty() && !(std::ranges::all_of(mean, finite) && std::ranges::all_of(variance, finite))) {
      first_bad = it.layer->name();
    }
    running.update(norm++, mean, variance);
  });
  return first_bad;
}

void StepStatistics::add_to(Communicator& comm, PopulationMoments& population) {
  const std::vector<double> moments = all_moments(comm);
  std::size_t norm = 0;
  for_each_layer([&](std::size_t offset, const PerLayer& it) {
    for (std::int64_t group = 0; group < exchange_.groups() && !absent(exchange_.group(group)); ++group) {
      const std::size_t row = static_cast<std::size_t>(group) * total_width_;
      population.add(norm, std::span(moments).subspan(row + offset, it.width()),
                     count(it, exchange_.group(group)));
    }
    ++norm;
  });
}

bool StepStatistics::undefined_variance(std::size_t norm, std::int64_t global_samples) const {
  for (std::int64_t group = 0; group < exchange_.groups(); ++group) {
    const Range shards = exchange_.group(group);
    if (shards.begin >= layout_.present(global_samples)) break;
    if (samples(shards, global_samples) * layers_[norm].layer->input().pixels() == 1) return true;
  }
  return false;
}

}  // namespace lockstep
