#include "layers/model/population_moments.h"

#include "comm/tree/exchange.h"

namespace lockstep {

PopulationMoments::PopulationMoments(std::span<const BatchNorm* const> norms) {
  for (const BatchNorm* norm : norms) {
    norms_.push_back({.values = std::vector<double>(static_cast<std::size_t>(2 * norm->channels()))});
  }
}

void PopulationMoments::add(std::size_t norm, std::span<const double> moments, std::int64_t count) {
  Moments& it = norms_[norm];
  merge_moments(it.values.size() / 2, it.values.data(), it.count, moments.data(), count);
  it.count += count;
}

std::span<const double> PopulationMoments::mean(std::size_t norm) const {
  const std::span values(norms_[norm].values);
  return values.first(values.size() / 2);
}

std::vector<double> PopulationMoments::unbiased_variance(std::size_t norm) const {
  const Moments& it = norms_[norm];
  const std::span values(it.values);
  std::vector<double> variance;
  for (const double m2 : values.subspan(values.size() / 2)) {
    variance.push_back(m2 / static_cast<double>(it.count - 1));
  }
  return variance;
}

}  // namespace lockstep
