#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "layers/ops/cuda/operations.h"
#include "tests/support/threads_on_cpu.h"

// A GPU that is none: a Machine of layers/ops/cuda/operations.h whose kernels run on the CPU, with oneDNN in
// place of cuDNN and cuBLAS. Its memory is out of the host's reach, as a GPU's is: whoever reads or writes
// there but a kernel or a copy is killed by it.
namespace lockstep::test {

class GuardedMemory {
 public:
  static constexpr std::size_t capacity = std::size_t{1} << 30;  // bytes
  // open: the host may do as it likes, for transports between threads, which copy from worker to worker.
  explicit GuardedMemory(bool open) : users_(open ? 1 : 0) {}

  std::shared_ptr<std::byte> take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes > free_) throw std::bad_alloc();
    void* const start = ::mmap(nullptr, bytes, access(), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) throw std::bad_alloc();
    pieces_[start] = bytes;
    free_ -= bytes;
    return {static_cast<std::byte*>(start), [this](std::byte* memory) { give_back(memory); }};
  }

  bool holds(const std::byte* begin, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto behind = pieces_.upper_bound(begin);
    if (behind == pieces_.begin()) return false;
    const auto& [start, size] = *std::prev(behind);
    return begin + bytes <= static_cast<const std::byte*>(start) + size;
  }

  // Runs what a GPU would do.
  template <class Work>
  void with(const Work& work) {
    change(1);
    work();
    change(-1);
  }

 private:
  int access() const { return users_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE; }
  void give_back(std::byte* memory) {
    const std::lock_guard lock(mutex_);
    ::munmap(memory, pieces_.at(memory));
    free_ += pieces_.at(memory);
    pieces_.erase(memory);
  }
  void change(int users) {
    const std::lock_guard lock(mutex_);
    const bool was_open = users_ > 0;
    users_ += users;
    if (was_open == (users_ > 0)) return;
    for (const auto& [start, bytes] : pieces_) ::mprotect(const_cast<void*>(start), bytes, access());
  }

  std::mutex mutex_;
  int users_;
  std::map<const void*, std::size_t> pieces_;
  std::size_t free_ = capacity;
};

// A Runner.
class GuardedThreads {
 public:
  explicit GuardedThreads(GuardedMemory& memory) : memory_(memory) {}
  template <class Body>
  void over(std::int64_t count, const Body& body) const {
    memory_.with([&] { threads_.over(count, body); });
  }
  template <class Body>
  void over(std::int64_t columns, std::int64_t rows, const Body& body) const {
    memory_.with([&] { threads_.over(columns, rows, body); });
  }
  template <class Body>
  void in_blocks(const Body& body) const {
    memory_.with([&] { threads_.in_blocks(body); });
  }
  void wait() const {}

 private:
  GuardedMemory& memory_;
  ThreadsOnCpu threads_;
};

class GpuDouble {
 public:
  explicit GpuDouble(bool open) : memory_(open), threads_(memory_) {}
  const GuardedThreads& runner(int /*thread*/) const { return threads_; }
  const GuardedThreads& reductions() const { return threads_; }
  std::string fingerprint() const { return "a GPU that is none"; }
  std::string identity() const { return "the double"; }
  std::size_t free_bytes() const { return GuardedMemory::capacity; }
  void make_current() const {}
  // At every 50th asking. `working`: of the thread that asked last; so far it was not.
  bool done() const {
    working = ++askings_ % 50 != 0;
    return !working;
  }
  void wait() const { working = false; }
  static inline thread_local bool working = false;
  std::shared_ptr<std::byte> allocate(std::size_t bytes) const { return memory_.take(bytes); }
  void copy_in(void* to, const void* from, std::size_t bytes) const {
    memory_.with([&] { std::memcpy(to, from, bytes); });
  }
  void copy_out(void* to, const void* from, std::size_t bytes) const { copy_in(to, from, bytes); }
  // At the last moment.
  void begin_copy_in(void* to, const void* from, std::size_t bytes) const {
    const std::lock_guard lock(mutex_);
    if (!is_pinned(static_cast<const std::byte*>(from), bytes)) ++pageable_copies;
    ++copies_begun;
    begun_[to] = {to, from, bytes};
  }
  void await_copy(const void* to, int /*thread*/) const {
    const std::lock_guard lock(mutex_);
    const auto begun = begun_.find(to);
    if (begun == begun_.end()) return;
    copy_in(begun->second.to, begun->second.from, begun->second.bytes);
    begun_.erase(begun);
  }
  std::shared_ptr<std::byte> allocate_on_host(std::size_t bytes) const {
    const auto memory = host().allocate(bytes);
    const std::lock_guard lock(mutex_);
    pinned_[memory.get()] = bytes;
    return {memory.get(), [this, memory](std::byte* start) {
              const std::lock_guard unpinning(mutex_);
              pinned_.erase(start);
            }};
  }
  GuardedMemory& memory() const { return memory_; }
  // Copies that were begun of other memory than allocate_on_host's, of all doubles: a GPU does not do them
  // beside the host.
  static inline std::atomic<int> pageable_copies = 0;
  static inline std::atomic<int> copies_begun = 0;  // of all doubles

 private:
  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
  };
  bool is_pinned(const std::byte* start, std::size_t bytes) const {
    const auto behind = pinned_.upper_bound(start);
    if (behind == pinned_.begin()) return false;
    const auto& [memory, its_bytes] = *std::prev(behind);
    return start + bytes <= memory + its_bytes;
  }

  mutable std::atomic<int> askings_ = 0;
  mutable std::mutex mutex_;
  mutable std::map<const void*, Copy> begun_;  // by where to
  mutable std::map<const std::byte*, std::size_t> pinned_;
  mutable GuardedMemory memory_;
  GuardedThreads threads_;
};

// A kernel of the CPU on the double's memory.
class GuardedKernel final : public Kernel {
 public:
  GuardedKernel(const GpuDouble& gpu, std::unique_ptr<Kernel> kernel, const KernelShape& shape)
      : gpu_(gpu), kernel_(std::move(kernel)), input_gradients_(shape.input_gradients) {}
  std::size_t scratch_bytes() const override { return kernel_->scratch_bytes(); }
  std::size_t saved_bytes() const override { return kernel_->saved_bytes(); }
  std::size_t prepared_bytes(Pass pass) const override { return kernel_->prepared_bytes(pass); }
  void prepare(Pass pass, std::array<const float*, max_parameters> parameters, std::byte* memory) override {
    gpu_.memory().with([&] { kernel_->prepare(pass, parameters, memory); });
  }
  void forward(const ForwardArguments& arguments) const override {
    gpu_.memory().with([&] { kernel_->forward(arguments); });
  }
  void backward(const BackwardArguments& arguments) const override {
    if ((arguments.input_gradients[0] != nullptr) != input_gradients_) {
      throw std::logic_error("an input's gradient is wanted and was not planned, or the other way round");
    }
    gpu_.memory().with([&] { kernel_->backward(arguments); });
  }

 private:
  const GpuDouble& gpu_;
  std::unique_ptr<Kernel> kernel_;
  bool input_gradients_;
};

inline std::shared_ptr<const Device> gpu_double(bool open = false) {
  return std::make_shared<cuda::Operations<GpuDouble>>(std::make_unique<GpuDouble>(open));
}

}  // namespace lockstep::test

namespace lockstep::cuda {

// In place of cuDNN's and cuBLAS'.
template <>
inline std::unique_ptr<Kernel> make_convolution(const test::GpuDouble& device, const Convolution& convolution,
                                                const KernelShape& shape) {
  return std::make_unique<test::GuardedKernel>(device, lockstep::make_convolution(convolution, shape), shape);
}
template <>
inline std::unique_ptr<Kernel> make_linear(const test::GpuDouble& device, const Linear& linear,
                                           const KernelShape& shape) {
  return std::make_unique<test::GuardedKernel>(device, lockstep::make_linear(linear, shape), shape);
}

}  // namespace lockstep::cuda
