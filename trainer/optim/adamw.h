#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/ops/memory.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/rules.h"

namespace lockstep {

// Adam with decoupled weight decay (Loshchilov and Hutter, 2019) in the order of torch.optim.AdamW, all in
// fp32 but for the scalars of a step, which are fp64 until they meet an array. With t = step + 1:
//   p ← p·(1 − lr·weight_decay);  m ← m + (g − m)·(1 − beta1);  v ← beta2·v + (1 − beta2)·g²
//   p ← p − lr/(1 − beta1^t) · m / (√v / √(1 − beta2^t) + eps)
class AdamW final : public Optimizer {
 public:
  AdamW(const OptimizerConfig& config, std::vector<TreatedRange> ranges, std::size_t arena,
        const Device& device);

  void update(std::span<float> parameters, std::span<const float> gradients, double lr,
              std::int64_t step) override;
  std::vector<OptimizerState> state() override;
  // A square beyond fp32 makes every further update 0.
  std::optional<OptimizerState> overflows_unseen() override { return {{"exp_avg_sq", square_.on_device()}}; }

 private:
  double beta1_, beta2_, eps_;
  std::vector<TreatedRange> ranges_;
  std::size_t arena_;
  const Device& device_;
  MirroredArray mean_, square_;
};

}  // namespace lockstep
