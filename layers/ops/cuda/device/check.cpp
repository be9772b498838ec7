#include "layers/ops/cuda/device/check.h"

#include <fmt/format.h>

#include <new>
#include <stdexcept>

namespace lockstep::cuda {

void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // which later calls should not report
    throw std::bad_alloc();
  }
  throw std::runtime_error(
      fmt::format("CUDA: {} failed: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status)));
}

void check(cublasStatus_t status, std::string_view what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw std::bad_alloc();
  throw std::runtime_error(fmt::format("cuBLAS: {} failed: {}", what, cublasGetStatusString(status)));
}

void check(cudnnStatus_t status, std::string_view what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
      status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED) {
    throw std::bad_alloc();
  }
  throw std::runtime_error(fmt::format("cuDNN: {} failed: {}", what, cudnnGetErrorString(status)));
}

}  // namespace lockstep::cuda
