#pragma once

#include "layers/model/inference_network.h"

namespace lockstep {

// Makes every batch_norm that comes right behind a convolution or a linear layer (a dropout between them is
// nothing in inference) part of that layer: with s = gamma / √(variance + eps) a channel, weight ← s · weight
// and bias ← beta + s · (bias − mean), worked out in fp64 and rounded once. The layer has a bias from then
// on. Another batch_norm stays. Jacob et al., "Quantization and training of neural networks for efficient
// integer-arithmetic-only inference" (2018), section 3.2.
void fold_batch_norms(InferenceNetwork& network);

}  // namespace lockstep
