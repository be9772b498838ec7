#include "layers/ops/cuda/device/device.h"

#include <fmt/format.h>
#include <nvrtc.h>

#include <algorithm>
#include <cstring>
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

Device::Lane::Lane(const MemoryPool& pool)
    : workspace(pool.take(cublas_workspace_bytes, stream.get()),
                [in = stream.get()](std::byte* it) { MemoryPool::give_back(it, in); }) {
  cudnnHandle_t dnn = nullptr;
  check(cudnnCreate(&dnn), "starting it");
  cudnn.reset(dnn);
  check(cudnnSetStream(dnn, stream.get()), "choosing its stream");

  cublasHandle_t blas = nullptr;
  check(cublasCreate(&blas), "starting it");
  cublas.reset(blas);
  check(cublasSetStream(blas, stream.get()), "choosing its stream");
  check(cublasSetWorkspace(blas, workspace.get(), cublas_workspace_bytes), "giving it memory");
  check(cublasSetAtomicsMode(blas, CUBLAS_ATOMICS_NOT_ALLOWED), "forbidding it atomics");
  // By default it may add up parts of a product of bf16 in bf16.
  constexpr auto sums_in_fp32 =
      static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  check(cublasSetMathMode(blas, sums_in_fp32), "asking it for sums in fp32");
}

Device::Device(const DeviceOptions& options) : options_(options) {
  if (options.index >= device_count()) {
    throw std::runtime_error(
        fmt::format("there is no GPU {}: this process sees {}", options.index, device_count()));
  }
  make_current();
  pool_.emplace(options.index);
  for (int stream = 0; stream < options.streams; ++stream) lanes_.emplace_back(*pool_);
  copies_.emplace();
  reductions_.emplace(Stream::Urgency::first);
}

void Device::make_current() const {
  check(cudaSetDevice(options_.index), fmt::format("choosing GPU {}", options_.index));
}

bool Device::done() const {
  return std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.stream.done(); });
}

void Device::wait() const {
  for (const Lane& lane : lanes_) lane.stream.wait();
}

std::string Device::fingerprint() const {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, options_.index), "asking what a GPU is");
  int runtime = 0;
  int driver = 0;
  int blas = 0;
  check(cudaRuntimeGetVersion(&runtime), "asking for its version");
  check(cudaDriverGetVersion(&driver), "asking for the driver's version");
  check(cublasGetVersion(cublas(0), &blas), "asking for its version");
  // With which cuDNN compiles some of its engines, and does without them where it finds none.
  int compiler = 0;
  int compiler_minor = 0;
  if (nvrtcVersion(&compiler, &compiler_minor) != NVRTC_SUCCESS) {
    throw std::runtime_error("NVRTC: asking for its version failed");
  }
  return fmt::format(
      "GPU {} (compute capability {}.{}, {} multiprocessors); CUDA {}, driver {}, cuBLAS {}, cuDNN {}, NVRTC "
      "{}.{}",
      properties.name, properties.major, properties.minor, properties.multiProcessorCount, runtime, driver,
      blas, cudnnGetVersion(), compiler, compiler_minor);
}

std::string Device::identity() const {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, options_.index), "asking what a GPU is");
  std::string text;
  for (const char byte : properties.uuid.bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

std::size_t Device::free_bytes() const {
  make_current();
  std::size_t free = 0;
  std::size_t all = 0;
  check(cudaMemGetInfo(&free, &all), "asking for its free memory");
  return free + pool_->spare_bytes();
}

std::shared_ptr<std::byte> Device::allocate(std::size_t bytes) const {
  make_current();
  std::shared_ptr<std::byte> memory(pool_->take(bytes, runner(0).get()),
                                    [this](std::byte* it) { give_back(it); });
  check(cudaMemsetAsync(memory.get(), 0, bytes, runner(0).get()), "zeroing memory");
  runner(0).wait();
  return memory;
}

// Any stream may still be at work there.
void Device::give_back(std::byte* memory) const {
  for (const Lane& lane : lanes_) cudaStreamSynchronize(lane.stream.get());
  cudaStreamSynchronize(copies_->get());
  cudaStreamSynchronize(reductions_->get());
  MemoryPool::give_back(memory, runner(0).get());
}

void Device::copy_in(void* to, const void* from, std::size_t bytes) const {
  make_current();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, runner(0).get()), "copying to the GPU");
  runner(0).wait();
}

void Device::copy_out(void* to, const void* from, std::size_t bytes) const {
  make_current();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, runner(0).get()), "copying from the GPU");
  runner(0).wait();
}

void Device::begin_copy_in(void* to, const void* from, std::size_t bytes) const {
  make_current();
  const std::lock_guard lock(begun_mutex_);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, copies_->get()), "copying to the GPU");
  copies_->record(begun_[to]);
}

void Device::await_copy(const void* to, int thread) const {
  const std::lock_guard lock(begun_mutex_);
  const auto begun = begun_.find(to);
  if (begun != begun_.end()) runner(thread).wait_for(begun->second);
}

std::shared_ptr<std::byte> Device::allocate_on_host(std::size_t bytes) const {
  make_current();
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), fmt::format("pinning {} bytes", bytes));
  std::memset(memory, 0, bytes);
  return {static_cast<std::byte*>(memory), [](std::byte* it) { cudaFreeHost(it); }};
}

}  // namespace lockstep::cuda
