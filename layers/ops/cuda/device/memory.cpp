#include "layers/ops/cuda/device/memory.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>

#include "layers/ops/cuda/device/check.h"

namespace lockstep::cuda {

MemoryPool::MemoryPool(int gpu) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {.type = cudaMemLocationTypeDevice, .id = gpu};
  cudaMemPool_t pool = nullptr;
  check(cudaMemPoolCreate(&pool, &properties), "making a pool of its memory");
  pool_.reset(pool);
  std::uint64_t kept = std::numeric_limits<std::uint64_t>::max();
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept), "having it keep memory");
}

std::byte* MemoryPool::take(std::size_t bytes, cudaStream_t stream) const {
  void* memory = nullptr;
  check(cudaMallocFromPoolAsync(&memory, bytes, pool_.get(), stream), fmt::format("taking {} bytes", bytes));
  return static_cast<std::byte*>(memory);
}

void MemoryPool::give_back(std::byte* memory, cudaStream_t stream) {
  cudaFreeAsync(memory, stream);
}

std::size_t MemoryPool::spare_bytes() const {
  const std::size_t used =
      bytes_of(cudaMemPoolAttrUsedMemCurrent);  // first: what is taken meanwhile adds to both
  return bytes_of(cudaMemPoolAttrReservedMemCurrent) - used;
}

std::size_t MemoryPool::bytes_of(cudaMemPoolAttr attribute) const {
  std::uint64_t bytes = 0;
  check(cudaMemPoolGetAttribute(pool_.get(), attribute, &bytes), "asking what its pool holds");
  return bytes;
}

}  // namespace lockstep::cuda
