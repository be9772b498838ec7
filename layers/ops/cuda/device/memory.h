#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <type_traits>

namespace lockstep::cuda {

// Memory of one GPU for one Device. What is given back stays in the pool for what is taken next, until the
// pool ends: asking the driver for memory makes the whole GPU wait. Other GPUs cannot reach it.
class MemoryPool {
 public:
  // Throws std::runtime_error where the GPU or its driver has no pools.
  explicit MemoryPool(int gpu);

  // Memory that starts on 256 bytes, not zeroed, for what is put into `stream` from now on and for all that
  // waits for that. Throws std::bad_alloc.
  std::byte* take(std::size_t bytes, cudaStream_t stream) const;
  // Once what is in `stream` now is done.
  static void give_back(std::byte* memory, cudaStream_t stream);
  // Bytes that the pool holds and nobody has.
  std::size_t spare_bytes() const;

 private:
  std::size_t bytes_of(cudaMemPoolAttr attribute) const;

  struct Destroy {
    void operator()(cudaMemPool_t pool) const { cudaMemPoolDestroy(pool); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaMemPool_t>, Destroy> pool_;
};

}  // namespace lockstep::cuda
