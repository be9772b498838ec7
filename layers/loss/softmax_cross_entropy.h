#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

// Over one shard: logits of `samples` rows of `classes`. Softmax and sums are in fp64; each sample's loss is
// a function of its own row alone. Targets with smoothing ε: 1 − ε + ε / classes for the label, ε / classes
// for the others (Szegedy et al., 2016).
struct LossSums {
  double loss = 0;  // Σ over the samples
  double correct =
      0;  // samples whose largest logit (the first of equals) is the label's; NaN is never correct
};

// gradient (may be empty): d(Σ loss / global) / d logits. The gradient of the mean loss over the global
// batch, and so divided by the global count, never a mean of means.
LossSums softmax_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> labels,
                               std::int64_t classes, double smoothing, std::int64_t global,
                               std::span<float> gradient);

}  // namespace lockstep
