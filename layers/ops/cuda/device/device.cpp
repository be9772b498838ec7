#include "layers/ops/cuda/device/device.h"

#include <fmt/format.h>

#include <stdexcept>

#include "layers/ops/cuda/device/check.h"

namespace lockstep::cuda {
namespace {

// What NVIDIA recommends for Hopper, the most of all.
constexpr std::size_t cublas_workspace_bytes = std::size_t{32} << 20;

}  // namespace

int device_count() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess;
  cudaGetLastError();  // that there is none is no error that later calls should report
  return found ? count : 0;
}

Device::Lane::Lane() : workspace(cublas_workspace_bytes) {
  cudnnHandle_t dnn = nullptr;
  check(cudnnCreate(&dnn), "starting it");
  cudnn.reset(dnn);
  check(cudnnSetStream(dnn, stream.get()), "choosing its stream");

  cublasHandle_t blas = nullptr;
  check(cublasCreate(&blas), "starting it");
  cublas.reset(blas);
  check(cublasSetStream(blas, stream.get()), "choosing its stream");
  check(cublasSetWorkspace(blas, workspace.data(), workspace.size()), "giving it memory");
  check(cublasSetAtomicsMode(blas, CUBLAS_ATOMICS_NOT_ALLOWED), "forbidding it atomics");
}

Device::Device(const DeviceOptions& options) : options_(options) {
  if (options.index >= device_count()) {
    throw std::runtime_error(
        fmt::format("there is no GPU {}: this process sees {}", options.index, device_count()));
  }
  make_current();
  lanes_ = std::vector<Lane>(static_cast<std::size_t>(options.streams));
}

void Device::make_current() const {
  check(cudaSetDevice(options_.index), fmt::format("choosing GPU {}", options_.index));
}

void Device::wait() const {
  for (const Lane& lane : lanes_) lane.stream.wait();
}

}  // namespace lockstep::cuda
