#include "trainer/optim/adamw.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include "layers/ops/update.h"

namespace lockstep {
namespace {

void step_range(float* p, const float* g, float* m, float* v, std::size_t n, AdamWScalars s) {
  for (std::size_t i = 0; i < n; ++i) update_adamw(p[i], g[i], m[i], v[i], s);
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
  AdamWScalars s{.keep = 1.0F,
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
