#include "layers/nn/batch_norm.h"

#include <stdexcept>

namespace lockstep {

BatchNorm::BatchNorm(std::string name, const SampleShape& input, const BatchNormSpec& spec)
    : Layer(std::move(name), input, input) {
  if (!spec.affine) return;
  declare_constant("weight", {input.channels}, Parameter::Role::norm_scale, 1);
  declare_constant("bias", {input.channels}, Parameter::Role::norm_shift, 0);
}

std::unique_ptr<Kernel> BatchNorm::make_kernel(const KernelShape& /*shape*/) const {
  throw std::logic_error("batch_norm is run by the plan, not by a kernel");
}

}  // namespace lockstep
