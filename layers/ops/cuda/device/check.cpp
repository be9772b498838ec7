#include "layers/ops/cuda/device/check.h"

#include <fmt/format.h>

#include <stdexcept>

namespace lockstep::cuda {

void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(
      fmt::format("CUDA: {} failed: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status)));
}

void check(cublasStatus_t status, std::string_view what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(fmt::format("cuBLAS: {} failed: {}", what, cublasGetStatusString(status)));
}

void check(cudnnStatus_t status, std::string_view what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw std::runtime_error(fmt::format("cuDNN: {} failed: {}", what, cudnnGetErrorString(status)));
}

}  // namespace lockstep::cuda
