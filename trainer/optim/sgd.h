#pragma once

#include <span>
#include <string>
#include <vector>

#include "layers/ops/memory.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/rules.h"

namespace lockstep {

// Stochastic gradient descent in PyTorch's form, all in fp32:
//   d = g + weight_decay·p;  buf ← momentum·buf + d;  p ← p − lr·(nesterov ? d + momentum·buf : buf)
// Without momentum there is no state, and p ← p − lr·d.
class Sgd final : public Optimizer {
 public:
  Sgd(const OptimizerConfig& config, std::vector<TreatedRange> ranges, std::size_t arena,
      const Device& device);

  void update(std::span<float> parameters, std::span<const float> gradients, double lr,
              std::int64_t step) override;
  std::vector<OptimizerState> state() override;

 private:
  float momentum_;
  bool nesterov_;
  std::vector<TreatedRange> ranges_;
  std::size_t arena_;
  const Device& device_;
  MirroredArray buffer_;
};

}  // namespace lockstep
