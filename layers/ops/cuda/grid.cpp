#include "layers/ops/cuda/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace lockstep::cuda {
namespace {

// Some times what the largest GPU runs at once (below 2^19 threads), so that all its parts end together.
constexpr std::int64_t enough_blocks = 16384;
constexpr std::int64_t rows_a_thread = 8;

std::int64_t parts(std::int64_t total, std::int64_t size) {
  return total / size + (total % size == 0 ? 0 : 1);
}

}  // namespace

Grid grid_over(std::int64_t count) {
  return {.blocks_x = static_cast<std::uint32_t>(std::min(parts(count, threads), enough_blocks)),
          .threads = static_cast<std::uint32_t>(threads)};
}

Grid grid_over(std::int64_t columns, std::int64_t rows) {
  if (columns == 0) return {};
  return {.blocks_x = static_cast<std::uint32_t>(std::min(parts(rows, warps * rows_a_thread), most_blocks_x)),
          .blocks_y = static_cast<std::uint32_t>(std::min(parts(columns, warp), most_blocks_y)),
          .threads = static_cast<std::uint32_t>(threads)};
}

Grid grid_of(std::int64_t blocks, std::int64_t block_threads) {
  if (blocks > most_blocks_x || block_threads > most_threads) {
    throw std::logic_error(
        fmt::format("{} blocks of {} threads are more than a GPU bears", blocks, block_threads));
  }
  return {.blocks_x = static_cast<std::uint32_t>(blocks),
          .threads = static_cast<std::uint32_t>(block_threads)};
}

}  // namespace lockstep::cuda
