#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "layers/ops/cuda/launches/elementwise.h"
#include "layers/ops/cuda/launches/elementwise_kernels.h"
#include "layers/ops/cuda/launches/loss.h"
#include "layers/ops/cuda/launches/norm.h"
#include "layers/ops/cuda/launches/pooling_kernels.h"
#include "layers/tensor/buffer.h"

// Runs a GPU's kernels on the CPU: their blocks one after another, the threads of a block phase by phase. So
// the arithmetic of layers/ops/cuda, and how it is spread over threads, is tested where there is no GPU.
namespace lockstep::test {

// A Runner (layers/ops/cuda/norm.h). No result may depend on its members.
struct ThreadsOnCpu {
  bool backwards = false;        // the last thread and the last block first
  bool in_three_blocks = false;  // elementwise work, however much it is

  template <class Body>
  void over(std::int64_t count, const Body& body) const {
    each_thread(limited(cuda::grid_over(count)),
                [&](const cuda::Place& at) { cuda::work_over(at, count, body); });
  }

  template <class Body>
  void over(std::int64_t columns, std::int64_t rows, const Body& body) const {
    each_thread(limited(cuda::grid_over(columns, rows)),
                [&](const cuda::Place& at) { cuda::work_over(at, columns, rows, body); });
  }

  template <class Body>
  void in_blocks(const Body& body) const {
    static_assert(sizeof(typename Body::Shared) <= cuda::most_shared_bytes);
    const auto shared = std::make_unique<typename Body::Shared>();
    const cuda::Grid grid = cuda::grid_of(body.blocks(), Body::threads);
    each_block(grid, [&](cuda::Place at) {
      std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(*shared));  // NaN
      for (int phase = 0; phase < Body::phases; ++phase) {
        each(grid.threads, [&](std::uint32_t thread) {
          at.thread = thread;
          body(at, phase, *shared);
        });
      }
    });
  }

 private:
  cuda::Grid limited(cuda::Grid grid) const {
    constexpr std::uint32_t few = 3;
    if (in_three_blocks && grid.blocks_x > few) grid.blocks_x = few;
    if (in_three_blocks && grid.blocks_y > few) grid.blocks_y = few;
    return grid;
  }

  template <class Visit>
  void each(std::uint32_t count, const Visit& visit) const {
    for (std::uint32_t i = 0; i < count; ++i) visit(backwards ? count - 1 - i : i);
  }

  template <class Visit>
  void each_block(const cuda::Grid& grid, const Visit& visit) const {
    each(grid.blocks_y, [&](std::uint32_t block_y) {
      each(grid.blocks_x, [&](std::uint32_t block_x) { visit({grid, block_x, block_y, 0}); });
    });
  }

  template <class Visit>
  void each_thread(const cuda::Grid& grid, const Visit& visit) const {
    each_block(grid, [&](cuda::Place at) {
      each(grid.threads, [&](std::uint32_t thread) {
        at.thread = thread;
        visit(at);
      });
    });
  }
};

// A Device (layers/ops/cuda/kernels.h).
struct DeviceOnCpu {
  ThreadsOnCpu threads;
  const ThreadsOnCpu& runner(int /*thread*/) const { return threads; }
};

// What tests/support/cuda_ops.h runs on.
namespace target {

using Device = DeviceOnCpu;

inline const Device& device() {
  static const DeviceOnCpu device;
  return device;
}

// Why nothing can be run here; null where it can.
inline const char* unavailable() {
  return nullptr;
}

// Memory of the device.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : buffer_(bytes) {}
  std::byte* data() const { return buffer_.data(); }
  static void copy_in(std::byte* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  static void copy_out(void* to, const std::byte* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

 private:
  Buffer buffer_;
};

}  // namespace target
}  // namespace lockstep::test
