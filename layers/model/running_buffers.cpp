#include "layers/model/running_buffers.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "layers/ops/elementwise.h"

namespace lockstep {

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
    if (entries_[entry].kind == RunningStatistics::Kind::precise) continue;
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

std::string RunningBuffers::set_precise(const PopulationMoments& population, std::int64_t batches) {
  const auto to_float = [](double value) { return static_cast<float>(value); };
  std::string first_bad;
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    if (entries_[i / norms_.size()].kind != RunningStatistics::Kind::precise) continue;
    const std::size_t norm = i % norms_.size();
    Buffers& it = buffers_[i];
    std::ranges::transform(population.mean(norm), it.mean.begin(), to_float);
    std::ranges::transform(population.unbiased_variance(norm), it.variance.begin(), to_float);
    it.batches = batches;
    if (first_bad.empty() && !(all_finite(it.mean) && all_finite(it.variance))) {
      first_bad = norms_[norm]->name();
    }
  }
  return first_bad;
}

std::vector<ModelTensor> RunningBuffers::tensors() {
  std::vector<ModelTensor> tensors;
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    const BatchNorm& layer = *norms_[i % norms_.size()];
    const std::size_t entry = i / norms_.size();
    const std::string prefix =
        (entry == 0 ? "" : fmt::format("stats.{}.", entries_[entry].name)) + layer.name();
    const bool derived = entries_[entry].kind == RunningStatistics::Kind::precise;
    const auto add = [&](std::string_view name, DType dtype, Dims dims, std::span<std::byte> bytes) {
      tensors.push_back({fmt::format("{}.{}", prefix, name), dtype, std::move(dims), bytes, derived});
    };
    Buffers& it = buffers_[i];
    add("running_mean", DType::f32, {layer.channels()}, std::as_writable_bytes(std::span(it.mean)));
    add("running_var", DType::f32, {layer.channels()}, std::as_writable_bytes(std::span(it.variance)));
    add("num_batches_tracked", DType::i64, {}, std::as_writable_bytes(std::span(&it.batches, 1)));
  }
  return tensors;
}

}  // namespace lockstep
