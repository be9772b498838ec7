#include "layers/ops/cuda/device/memory.h"

#include <fmt/format.h>

#include "layers/ops/cuda/device/check.h"

namespace lockstep::cuda {

DeviceBuffer::DeviceBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), fmt::format("taking {} bytes", bytes));
  memory_.reset(static_cast<std::byte*>(memory));
}

void DeviceBuffer::Free::operator()(std::byte* memory) const {
  cudaFree(memory);
}

void copy_to_device(std::byte* to, const void* from, std::size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copying to the GPU");
}

void copy_to_host(void* to, const std::byte* from, std::size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copying from the GPU");
}

}  // namespace lockstep::cuda
