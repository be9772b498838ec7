#pragma once

#include "layers/ops/cuda/device/check.h"
#include "layers/ops/cuda/device/stream.h"
#include "layers/ops/cuda/grid.h"

// The only kernels there are: what a thread does comes from ../arithmetic.
namespace lockstep::cuda {

__device__ inline Place this_place() {
  return {{gridDim.x, gridDim.y, blockDim.x}, blockIdx.x, blockIdx.y, threadIdx.x};
}

template <class Body>
__global__ void __launch_bounds__(threads) run_over(std::int64_t count, Body body) {
  work_over(this_place(), count, body);
}

template <class Body>
__global__ void __launch_bounds__(threads) run_over(std::int64_t columns, std::int64_t rows, Body body) {
  work_over(this_place(), columns, rows, body);
}

template <class Body>
__global__ void __launch_bounds__(Body::threads) run_in_blocks(Body body) {
  __shared__ typename Body::Shared shared;
  for (int phase = 0; phase < Body::phases; ++phase) {
    if (phase > 0) __syncthreads();
    body(this_place(), phase, shared);
  }
}

inline bool has_work(const Grid& grid) {
  return grid.blocks_x > 0 && grid.blocks_y > 0;
}

template <class Body>
void Stream::over(std::int64_t count, const Body& body) const {
  const Grid grid = grid_over(count);
  if (!has_work(grid)) return;
  run_over<<<grid.blocks_x, grid.threads, 0, get()>>>(count, body);
  check(cudaGetLastError(), "starting a kernel");
}

template <class Body>
void Stream::over(std::int64_t columns, std::int64_t rows, const Body& body) const {
  const Grid grid = grid_over(columns, rows);
  if (!has_work(grid)) return;
  run_over<<<dim3(grid.blocks_x, grid.blocks_y), grid.threads, 0, get()>>>(columns, rows, body);
  check(cudaGetLastError(), "starting a kernel");
}

template <class Body>
void Stream::in_blocks(const Body& body) const {
  static_assert(sizeof(typename Body::Shared) <= most_shared_bytes);
  const Grid grid = grid_of(body.blocks(), Body::threads);
  if (!has_work(grid)) return;
  run_in_blocks<<<grid.blocks_x, grid.threads, 0, get()>>>(body);
  check(cudaGetLastError(), "starting a kernel");
}

}  // namespace lockstep::cuda
