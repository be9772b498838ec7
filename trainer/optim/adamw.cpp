#include "trainer/optim/adamw.h"

#include <cmath>
#include <utility>

#include "layers/ops/device.h"

namespace lockstep {

AdamW::AdamW(const OptimizerConfig& config, std::vector<TreatedRange> ranges, std::size_t arena,
             const Device& device)
    : beta1_(config.beta1),
      beta2_(config.beta2),
      eps_(config.eps),
      ranges_(std::move(ranges)),
      arena_(arena),
      device_(device),
      mean_(device, arena),
      square_(device, arena) {}

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
  float* const mean = mean_.on_device().data();
  float* const square = square_.on_device().data();
  for (const TreatedRange& range : ranges_) {
    const double own_lr = lr * range.lr_scale;
    s.keep = static_cast<float>(1 - own_lr * range.weight_decay);
    s.step_size = static_cast<float>(own_lr / (1 - std::pow(beta1_, t)));
    device_.update_adamw(parameters.data() + range.offset, gradients.data() + range.offset,
                         mean + range.offset, square + range.offset, s,
                         static_cast<std::int64_t>(range.count));
  }
}

std::vector<OptimizerState> AdamW::state() {
  return {{"exp_avg", mean_.on_host()}, {"exp_avg_sq", square_.on_host()}};
}

}  // namespace lockstep
