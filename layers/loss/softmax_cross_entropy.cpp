#include "layers/loss/softmax_cross_entropy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lockstep {
namespace {

// log Σ exp(z), shifted by the largest so that nothing overflows.
double log_sum_exp(std::span<const float> z) {
  const auto largest = static_cast<double>(*std::max_element(z.begin(), z.end()));
  double sum = 0;
  for (const float value : z) sum += std::exp(static_cast<double>(value) - largest);
  return largest + std::log(sum);
}

bool is_first_largest(std::span<const float> z, std::size_t label) {
  for (std::size_t j = 0; j < z.size(); ++j) {
    const bool beats = j < label ? z[label] > z[j] : z[label] >= z[j];
    if (!beats) return false;
  }
  return true;
}

void check(std::span<const float> logits, std::span<const std::int32_t> labels, std::int64_t classes,
           std::span<float> gradient) {
  if (logits.size() != labels.size() * static_cast<std::size_t>(classes) ||
      (!gradient.empty() && gradient.size() != logits.size())) {
    throw std::logic_error(fmt::format("loss: {} logits and {} gradients for {} labels of {} classes",
                                       logits.size(), gradient.size(), labels.size(), classes));
  }
  for (const std::int32_t label : labels) {
    if (label < 0 || label >= classes) {
      throw std::logic_error(fmt::format("loss: label {} of {} classes", label, classes));
    }
  }
}

}  // namespace

LossSums softmax_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> labels,
                               std::int64_t classes, double smoothing, std::int64_t global,
                               std::span<float> gradient) {
  check(logits, labels, classes, gradient);
  const auto width = static_cast<std::size_t>(classes);
  const double others = smoothing / static_cast<double>(classes);
  LossSums sums;
  for (std::size_t sample = 0; sample < labels.size(); ++sample) {
    const std::span<const float> z = logits.subspan(sample * width, width);
    const auto label = static_cast<std::size_t>(labels[sample]);
    const double normalizer = log_sum_exp(z);

    double loss = 0;  // −Σ target · log softmax
    for (std::size_t j = 0; j < width; ++j) {
      const double target = others + (j == label ? 1 - smoothing : 0);
      const double log_probability = static_cast<double>(z[j]) - normalizer;
      if (target > 0) loss -= target * log_probability;
      if (!gradient.empty()) {
        const double derivative = (std::exp(log_probability) - target) / static_cast<double>(global);
        gradient[sample * width + j] = static_cast<float>(derivative);
      }
    }
    sums.loss += loss;
    sums.correct += is_first_largest(z, label) ? 1 : 0;
  }
  return sums;
}

}  // namespace lockstep
