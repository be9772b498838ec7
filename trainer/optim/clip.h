#pragma once

#include <optional>
#include <span>

#include "layers/ops/device.h"
#include "trainer/config/schema.h"

namespace lockstep {

// Clips by the global norm, as torch.nn.utils.clip_grad_norm_ does: with n = ‖gradients‖₂ over the whole
// arena,
//   g ← g · min(1, clip_norm / (n + 1e-6))
// Answers n, which is from before; nothing where optimizer.clip_norm is 0, and nothing is done. Every worker
// has the same summed gradients, and so comes to the same norm by itself. Gradients are the device's.
std::optional<double> clip_gradients(const OptimizerConfig& config, std::span<float> gradients,
                                     const Device& device = host());

}  // namespace lockstep
