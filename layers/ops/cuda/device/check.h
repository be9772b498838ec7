#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <string_view>

namespace lockstep::cuda {

// Throw std::bad_alloc where there was not enough memory, and std::runtime_error where a call failed
// otherwise: what was to be done, and the library's reason.
void check(cudaError_t status, std::string_view what);
void check(cublasStatus_t status, std::string_view what);
void check(cudnnStatus_t status, std::string_view what);

}  // namespace lockstep::cuda
