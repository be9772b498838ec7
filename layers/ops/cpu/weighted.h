#pragma once

#include <memory>
#include <optional>
#include <string>

#include "layers/ops/cpu/call.h"
#include "layers/ops/kernel.h"
#include "layers/tensor/buffer.h"

namespace lockstep::onednn {

// What a convolution and a linear layer have in common: source, weight, bias (may be empty) and destination
// in plain layouts, and primitives that were described with the weight in any layout. Source and destination,
// and the weight as primitives read it, are of the kernel's element type; `weight`, bias and their gradients
// are fp32.
struct Weighted {
  std::string what;  // operation and shape, for messages
  Desc source, weight, bias, destination;
  bool residual = false;  // the primitive adds to what lies in its destination
  bool allow_reference = true;
  dnnl::primitive_desc_base forward;
  std::optional<dnnl::primitive_desc_base> backward_data, backward_weight;  // where training
};

// Of a forward primitive.
dnnl::primitive_attr attributes(const Epilogue& epilogue);

// Runs them. Weights are brought to the layouts (and the type) that primitives read by `prepare`, weight
// gradients back to the plain layout at the end of each backward, or by `plain_gradient`.
std::unique_ptr<Kernel> make_weighted(const Weighted& weighted, int threads);

}  // namespace lockstep::onednn
