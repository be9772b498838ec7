#pragma once

#include <cstdint>

#include "comm/base/host_device.h"
#include "layers/ops/cuda/grid.h"

namespace lockstep::cuda {

// rows × channels, read so that the threads of a warp have neighbouring elements: a column is a channel;
// where channels are few, several rows side by side make one wide row. Where sums are cut depends on rows and
// channels alone.
struct WideRows {
  std::int64_t channels = 0;
  std::int64_t repeat = 0;   // rows in a wide row
  std::int64_t columns = 0;  // of a wide row
  std::int64_t rows = 0;     // wide ones; the last may be shorter
  std::int64_t elements = 0;

  WideRows() = default;
  WideRows(std::int64_t plain_rows, std::int64_t channel_count)
      : channels(channel_count),
        repeat(channels < warp ? warp / channels : 1),
        columns(repeat * channels),
        rows((plain_rows + repeat - 1) / repeat),
        elements(plain_rows * channels) {}

  // Sums of one column go over blocks of so many wide rows.
  static constexpr std::int64_t rows_a_thread = 16;
  static constexpr std::int64_t rows_a_block = rows_a_thread * warps;

  std::int64_t row_blocks() const { return (rows + rows_a_block - 1) / rows_a_block; }
  LOCKSTEP_HOST_DEVICE std::int64_t tiles() const { return (columns + warp - 1) / warp; }
  // Of a column's block of rows each.
  std::int64_t partials() const { return row_blocks() * columns; }
};

}  // namespace lockstep::cuda
