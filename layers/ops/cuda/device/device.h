#pragma once

#include <cublas_v2.h>
#include <cudnn.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "layers/ops/cuda/device/memory.h"
#include "layers/ops/cuda/device/stream.h"

namespace lockstep::cuda {

struct DeviceOptions {
  int index = 0;      // among the GPUs that this process sees
  int streams = 1;    // a stream is to a GPU what a thread is to a CPU (KernelShape::threads)
  bool tf32 = false;  // what trains may round products of fp32 numbers to 10 bits of precision (Tensor Cores)
};

// How many GPUs this process sees; 0 where there is no driver.
int device_count();

// One GPU: its streams, with the libraries' handles of each. Makes it the calling thread's current GPU; every
// thread that uses it must call make_current() first. Throws std::runtime_error where there is no such GPU.
class Device {
 public:
  explicit Device(const DeviceOptions& options);

  void make_current() const;
  const Stream& runner(int thread) const { return lane(thread).stream; }
  // Beside all threads: for sums of gradients that are final.
  const Stream& reductions() const { return *reductions_; }
  cudnnHandle_t cudnn(int thread) const { return lane(thread).cudnn.get(); }
  cublasHandle_t cublas(int thread) const { return lane(thread).cublas.get(); }
  bool tf32() const { return options_.tf32; }
  // Whether all threads' streams are done.
  bool done() const;
  // Blocks until they are.
  void wait() const;

  // Model of the GPU, and the versions of what computes on it.
  std::string fingerprint() const;
  // Its UUID.
  std::string identity() const;
  // Of its memory: what nobody has, and what its pool has to spare.
  std::size_t free_bytes() const;
  // Zeroed. Throws std::bad_alloc.
  std::shared_ptr<std::byte> allocate(std::size_t bytes) const;
  // Behind what is in stream 0; done when they return.
  void copy_in(void* to, const void* from, std::size_t bytes) const;
  void copy_out(void* to, const void* from, std::size_t bytes) const;
  // In a stream of their own, which a thread's stream waits for.
  void begin_copy_in(void* to, const void* from, std::size_t bytes) const;
  void await_copy(const void* to, int thread) const;
  // Pinned, zeroed. Throws std::bad_alloc.
  std::shared_ptr<std::byte> allocate_on_host(std::size_t bytes) const;

 private:
  struct DestroyCudnn {
    void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
  };
  struct DestroyCublas {
    void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
  };
  // A stream with what runs in it alone.
  struct Lane {
    Stream stream;
    std::shared_ptr<std::byte> workspace;  // cuBLAS': given, so that it chooses the same way every time
    std::unique_ptr<std::remove_pointer_t<cudnnHandle_t>, DestroyCudnn> cudnn;
    std::unique_ptr<std::remove_pointer_t<cublasHandle_t>, DestroyCublas> cublas;

    explicit Lane(const MemoryPool& pool);
  };
  const Lane& lane(int thread) const { return lanes_.at(static_cast<std::size_t>(thread)); }
  void give_back(std::byte* memory) const;

  DeviceOptions options_;
  std::optional<MemoryPool> pool_;
  std::vector<Lane> lanes_;
  std::optional<Stream> copies_;
  std::optional<Stream> reductions_;
  mutable std::mutex begun_mutex_;
  mutable std::map<const void*, Event> begun_;  // copies, by where to
};

}  // namespace lockstep::cuda
