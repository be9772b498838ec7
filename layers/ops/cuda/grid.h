#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/base/host_device.h"

// How many threads a kernel is started with, as pure functions. No result depends on it: elementwise work is
// the same whoever does it, and sums go over fixed blocks (wide_rows.h, fold.h).
namespace lockstep::cuda {

// What every GPU bears without being asked ("Technical specifications per compute capability" in NVIDIA's
// CUDA C++ Programming Guide).
inline constexpr std::int64_t most_threads = 1024;  // of a block
inline constexpr std::int64_t most_blocks_x = 0x7fffffff;
inline constexpr std::int64_t most_blocks_y = 65535;
inline constexpr std::size_t most_shared_bytes = std::size_t{48} * 1024;  // of a block

inline constexpr std::int64_t warp = 32;  // threads that run in step
inline constexpr std::int64_t warps = 8;  // of a block, where nothing else is said
inline constexpr std::int64_t threads = warp * warps;

// Blocks of so many threads. Without blocks there is nothing to do.
struct Grid {
  std::uint32_t blocks_x = 0;
  std::uint32_t blocks_y = 1;
  std::uint32_t threads = 0;
};

// A thread and where it stands.
struct Place {
  Grid grid;
  std::uint32_t block_x = 0;
  std::uint32_t block_y = 0;
  std::uint32_t thread = 0;  // in its block
};

// For `count` elements: a thread each, until there are more than enough to fill a GPU; then several.
Grid grid_over(std::int64_t count);

// For rows of `columns` elements: a thread for some rows of one column. Neighbours have neighbouring columns.
Grid grid_over(std::int64_t columns, std::int64_t rows);

// So many blocks of so many threads. Throws std::logic_error where no GPU bears them.
Grid grid_of(std::int64_t blocks, std::int64_t block_threads);

// What one thread does of body(i), 0 ≤ i < count.
template <class Body>
LOCKSTEP_HOST_DEVICE void work_over(const Place& at, std::int64_t count, const Body& body) {
  const std::int64_t stride = std::int64_t{at.grid.blocks_x} * at.grid.threads;
  for (std::int64_t i = std::int64_t{at.block_x} * at.grid.threads + at.thread; i < count; i += stride) {
    body(i);
  }
}

// What one thread does of body.column(column)(row) for all columns and rows; column() may prepare what all
// rows of a column share.
template <class Body>
LOCKSTEP_HOST_DEVICE void work_over(const Place& at, std::int64_t columns, std::int64_t rows,
                                    const Body& body) {
  const std::int64_t lane = at.thread % warp;
  const std::int64_t group = at.thread / warp;
  const std::int64_t next_column = at.grid.blocks_y * warp;
  const std::int64_t next_row = at.grid.blocks_x * warps;
  for (std::int64_t column = at.block_y * warp + lane; column < columns; column += next_column) {
    const auto visit = body.column(column);
    for (std::int64_t row = at.block_x * warps + group; row < rows; row += next_row) visit(row);
  }
}

}  // namespace lockstep::cuda
