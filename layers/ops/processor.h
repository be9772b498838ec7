#pragma once

#include <string>

#include "layers/tensor/element.h"

namespace lockstep {

// What this processor has of the features that kernels use: "avx2 fma avx512f …".
std::string processor_features();

// Whether kernels of this element type can be made here: bf16 needs AVX-512, not hidden by
// ONEDNN_MAX_CPU_ISA.
bool computes_in(Element element);

}  // namespace lockstep
