#include "trainer/optim/adamw.h"

#include <cmath>
#include <cstddef>
#include <utility>

namespace lockstep {
namespace {

// What one step multiplies and divides by, rounded once.
struct Scalars {
  float keep;                   // 1 − lr·weight_decay
  float take_mean;              // 1 − beta1
  float keep_square;            // beta2
  float take_square;            // 1 − beta2
  float step_size;              // lr / (1 − beta1^t)
  float square_root_of_square;  // √(1 − beta2^t)
  float eps;
};

void step_range(float* p, const float* g, float* m, float* v, std::size_t n, Scalars s) {
  for (std::size_t i = 0; i < n; ++i) {
    m[i] += (g[i] - m[i]) * s.take_mean;
    v[i] = s.keep_square * v[i] + s.take_square * (g[i] * g[i]);
    const float divisor = std::sqrt(v[i]) / s.square_root_of_square + s.eps;
    p[i] = p[i] * s.keep - s.step_size * (m[i] / divisor);
  }
}

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, std::vector<TreatedRange> ranges, std::size_t arena)
    : beta1_(config.beta1),
      beta2_(config.beta2),
      eps_(config.eps),
      ranges_(std::move(ranges)),
      arena_(arena),
      mean_(arena),
      square_(arena) {}

void AdamW::update(std::span<float> parameters, std::span<const float> gradients, double lr,
                   std::int64_t step) {
  check_arenas(parameters, gradients, arena_);
  const auto t = static_cast<double>(step + 1);
  Scalars s{.keep = 1.0F,
            .take_mean = static_cast<float>(1 - beta1_),
            .keep_square = static_cast<float>(beta2_),
            .take_square = static_cast<float>(1 - beta2_),
            .step_size = 0.0F,
            .square_root_of_square = static_cast<float>(std::sqrt(1 - std::pow(beta2_, t))),
            .eps = static_cast<float>(eps_)};
  for (const TreatedRange& range : ranges_) {
    const double own_lr = lr * range.lr_scale;
    s.keep = static_cast<float>(1 - own_lr * range.weight_decay);
    s.step_size = static_cast<float>(own_lr / (1 - std::pow(beta1_, t)));
    step_range(parameters.data() + range.offset, gradients.data() + range.offset, mean_.data() + range.offset,
               square_.data() + range.offset, range.count, s);
  }
}

std::vector<OptimizerState> AdamW::state() {
  return {{"exp_avg", mean_}, {"exp_avg_sq", square_}};
}

}  // namespace lockstep
