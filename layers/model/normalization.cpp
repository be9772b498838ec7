#include "layers/model/normalization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lockstep {

void AffineStorage::set(std::span<const double> mean, std::span<const double> variance, double eps,
                        const float* gamma, const float* beta) {
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double inverse_deviation = 1.0 / std::sqrt(variance[c] + eps);
    const double scale =
        gamma == nullptr ? inverse_deviation : static_cast<double>(gamma[c]) * inverse_deviation;
    part(0)[c] = static_cast<float>(mean[c]);
    part(1)[c] = static_cast<float>(inverse_deviation);
    part(2)[c] = static_cast<float>(scale);
    part(3)[c] = beta == nullptr ? 0.0F : beta[c];
  }
}

norm::Affine AffineStorage::affine() const {
  const std::span all(values_);
  const auto channels = static_cast<std::size_t>(channels_);
  return {.mean = all.subspan(0, channels),
          .inverse_deviation = all.subspan(channels, channels),
          .scale = all.subspan(2 * channels, channels),
          .shift = all.subspan(3 * channels, channels)};
}

RunningBuffers::RunningBuffers(std::vector<const BatchNorm*> norms, std::vector<RunningStatistics> entries)
    : norms_(std::move(norms)), entries_(std::move(entries)), buffers_(entries_.size() * norms_.size()) {
  reset();
}

void RunningBuffers::reset() {
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    const auto channels = static_cast<std::size_t>(norms_[i % norms_.size()]->channels());
    buffers_[i] = {.mean = std::vector<float>(channels, 0.0F),
                   .variance = std::vector<float>(channels, 1.0F),
                   .batches = 0};
  }
}

void RunningBuffers::update(std::size_t norm, std::span<const double> mean,
                            std::span<const double> unbiased_variance) {
  for (std::size_t entry = 0; entry < entries_.size(); ++entry) {
    Buffers& it = buffers_[entry * norms_.size() + norm];
    ++it.batches;
    const double weight = entries_[entry].kind == RunningStatistics::Kind::ema
                              ? entries_[entry].momentum
                              : 1.0 / static_cast<double>(it.batches);
    const auto blend = [weight](float kept, double batch) {
      return static_cast<float>((1.0 - weight) * static_cast<double>(kept) + weight * batch);
    };
    std::ranges::transform(it.mean, mean, it.mean.begin(), blend);
    std::ranges::transform(it.variance, unbiased_variance, it.variance.begin(), blend);
  }
}

std::vector<ModelTensor> RunningBuffers::tensors() {
  std::vector<ModelTensor> tensors;
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    const BatchNorm& layer = *norms_[i % norms_.size()];
    const std::size_t entry = i / norms_.size();
    const std::string prefix =
        (entry == 0 ? "" : fmt::format("stats.{}.", entries_[entry].name)) + layer.name();
    Buffers& it = buffers_[i];
    tensors.push_back({prefix + ".running_mean",
                       DType::f32,
                       {layer.channels()},
                       std::as_writable_bytes(std::span(it.mean))});
    tensors.push_back({prefix + ".running_var",
                       DType::f32,
                       {layer.channels()},
                       std::as_writable_bytes(std::span(it.variance))});
    tensors.push_back(
        {prefix + ".num_batches_tracked", DType::i64, {}, std::as_writable_bytes(std::span(&it.batches, 1))});
  }
  return tensors;
}

StepStatistics::StepStatistics(const std::vector<const BatchNorm*>& norms, const ShardLayout& layout,
                               std::int64_t group, double eps)
    : layout_(layout), group_(group), eps_(eps), exchange_(layout, group) {
  const auto shards = static_cast<std::size_t>(layout.block().size());
  const auto groups = static_cast<std::size_t>(exchange_.own_groups().size());
  for (const BatchNorm* layer : norms) {
    const auto width = static_cast<std::size_t>(2 * layer->channels());
    layers_.push_back({.layer = layer,
                       .moments_name = layer->name() + " moments",
                       .sums_name = layer->name() + " gradient sums",
                       .leaves = std::vector<double>(shards * width),
                       .moments = std::vector<double>(global() ? 0 : shards * width),
                       .merged = std::vector<double>(groups * width),
                       .sums = std::vector<double>(groups * width),
                       .affine = std::vector<AffineStorage>(groups, AffineStorage(layer->channels()))});
    total_width_ += width;
  }
}

void StepStatistics::begin(std::int64_t global_samples) {
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

std::int64_t StepStatistics::samples(Range shards) const {
  return layout_.samples(global_samples_, shards.end - 1).end -
         layout_.samples(global_samples_, shards.begin).begin;
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

std::vector<double> StepStatistics::all_moments(Communicator& comm) {
  std::vector<double> all(static_cast<std::size_t>(exchange_.groups()) * total_width_);
  std::vector<double> leaves(global() ? 0 : static_cast<std::size_t>(layout_.block().size()) * total_width_);
  std::size_t offset = 0;
  for (const PerLayer& it : layers_) {
    const std::span<const double> from = global() ? it.merged : it.moments;
    const std::span<double> to = global() ? all : leaves;
    for (std::size_t row = 0; row * it.width() < from.size(); ++row) {
      std::ranges::copy(from.subspan(row * it.width(), it.width()),
                        to.subspan(row * total_width_ + offset).begin());
    }
    offset += it.width();
  }
  if (global()) return all;

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
  exchange_.run(comm, "running statistics", present_, total_width_, leaves, merge_all, all, true);
  return all;
}

// The count-weighted mean over the groups of (mean, unbiased variance); with one group, just that.
std::string StepStatistics::update(Communicator& comm, RunningBuffers& running) {
  const std::vector<double> moments = all_moments(comm);
  const auto finite = [](double value) { return std::isfinite(value); };
  std::string first_bad;
  std::size_t offset = 0;
  for (std::size_t norm = 0; norm < layers_.size(); ++norm) {
    const PerLayer& it = layers_[norm];
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
    running.update(norm, mean, variance);
    offset += it.width();
  }
  return first_bad;
}

bool StepStatistics::undefined_variance(std::size_t norm, std::int64_t global_samples) const {
  for (std::int64_t group = 0; group < exchange_.groups(); ++group) {
    const Range shards = exchange_.group(group);
    if (shards.begin >= layout_.present(global_samples)) break;
    const std::int64_t in_group = layout_.samples(global_samples, shards.end - 1).end -
                                  layout_.samples(global_samples, shards.begin).begin;
    if (in_group * layers_[norm].layer->input().pixels() == 1) return true;
  }
  return false;
}

}  // namespace lockstep
