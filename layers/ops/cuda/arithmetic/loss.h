#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "layers/ops/cuda/grid.h"
#include "layers/ops/cuda/loss.h"

namespace lockstep::cuda {

// Softmax cross-entropy (layers/loss/softmax_cross_entropy.h), a block a sample, in fp64. A thread has every
// 256th class, and threads' values are merged in pairs, so the sums' order depends on the number of classes
// alone.
struct SoftmaxCrossEntropy {
  static constexpr std::int64_t threads = cuda::threads;
  static constexpr int rounds = 3;            // the largest logit, the sum of exponentials, the loss
  static constexpr int round_phases = 1 + 8;  // a value a thread, 256 of them to 128 … to 1
  static constexpr int phases = rounds * round_phases;
  struct Shared {
    std::array<std::array<double, threads>, rounds> values;
    std::int32_t beaten;  // another logit is as large as the label's, or NaN
  };

  const float* logits;
  const std::int32_t* labels;  // 0 … classes − 1
  std::int64_t samples, classes;
  double smoothing;
  double global;
  LossOfSamples* losses;  // of each sample
  float* gradient;        // or null

  std::int64_t blocks() const { return samples; }

  LOCKSTEP_HOST_DEVICE void operator()(const Place& at, int phase, Shared& shared) const {
    const int round = phase / round_phases;
    double* values = shared.values[round].data();
    const int merges = phase % round_phases;
    if (merges > 0) {
      merge(at.thread, threads >> merges, round == 0, values);
      if (at.thread == 0 && phase == phases - 1)
        losses[at.block_x] = {values[0], shared.beaten != 0 ? 0.0 : 1.0};
      return;
    }
    const std::int64_t sample = at.block_x;
    const std::int64_t first = at.thread;
    if (round == 0) {
      if (first == 0) shared.beaten = 0;
      values[first] = largest(sample, first);
    } else if (round == 1) {
      values[first] = sum_of_exponentials(sample, first, shared.values[0][0]);
    } else {
      const double normalizer = shared.values[0][0] + std::log(shared.values[1][0]);
      values[first] = loss(sample, first, normalizer);
      if (is_beaten(sample, first)) shared.beaten = 1;
    }
  }

 private:
  LOCKSTEP_HOST_DEVICE static double larger(double left, double right) { return left < right ? right : left; }

  LOCKSTEP_HOST_DEVICE static void merge(std::int64_t thread, std::int64_t half, bool takes_larger,
                                         double* values) {
    if (thread >= half) return;
    const double other = values[thread + half];
    values[thread] = takes_larger ? larger(values[thread], other) : values[thread] + other;
  }

  LOCKSTEP_HOST_DEVICE double logit(std::int64_t sample, std::int64_t j) const {
    return static_cast<double>(logits[sample * classes + j]);
  }

  LOCKSTEP_HOST_DEVICE double largest(std::int64_t sample, std::int64_t first) const {
    double value = -HUGE_VAL;
    for (std::int64_t j = first; j < classes; j += threads) value = larger(value, logit(sample, j));
    return value;
  }

  LOCKSTEP_HOST_DEVICE double sum_of_exponentials(std::int64_t sample, std::int64_t first,
                                                  double shift) const {
    double sum = 0;
    for (std::int64_t j = first; j < classes; j += threads) sum += std::exp(logit(sample, j) - shift);
    return sum;
  }

  // −Σ target · log softmax, and the gradient.
  LOCKSTEP_HOST_DEVICE double loss(std::int64_t sample, std::int64_t first, double normalizer) const {
    const double others = smoothing / static_cast<double>(classes);
    double sum = 0;
    for (std::int64_t j = first; j < classes; j += threads) {
      const double target = others + (j == labels[sample] ? 1 - smoothing : 0);
      const double log_probability = logit(sample, j) - normalizer;
      if (target > 0) sum -= target * log_probability;
      if (gradient != nullptr) {
        gradient[sample * classes + j] = static_cast<float>((std::exp(log_probability) - target) / global);
      }
    }
    return sum;
  }

  LOCKSTEP_HOST_DEVICE bool is_beaten(std::int64_t sample, std::int64_t first) const {
    const std::int64_t label = labels[sample];
    const double own = logit(sample, label);
    for (std::int64_t j = first; j < classes; j += threads) {
      const bool beats = j < label ? own > logit(sample, j) : own >= logit(sample, j);
      if (!beats) return true;
    }
    return false;
  }
};

}  // namespace lockstep::cuda
