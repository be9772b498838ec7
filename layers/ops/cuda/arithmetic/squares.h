#pragma once

#include <array>
#include <cstdint>

#include "layers/ops/cuda/grid.h"

namespace lockstep::cuda {

// Σ value² of pieces of 4,096, each in eight lanes and then along their tree: the sums that the CPU's
// sum_of_squares folds, bit for bit.
struct SquaresOfPieces {
  static constexpr std::int64_t piece = 4096;
  static constexpr std::int64_t piece_lanes = 8;
  static constexpr std::int64_t threads = cuda::threads;
  static constexpr int phases = 4;  // 8 lanes to 4 to 2 to 1
  static constexpr std::int64_t pieces_a_block = threads / piece_lanes;
  struct Shared {
    std::array<std::array<double, piece_lanes>, pieces_a_block> lanes;
  };

  const float* values;
  std::int64_t count;
  double* sums;

  static LOCKSTEP_HOST_DEVICE std::int64_t pieces(std::int64_t count) { return (count + piece - 1) / piece; }
  std::int64_t blocks() const { return (pieces(count) + pieces_a_block - 1) / pieces_a_block; }

  LOCKSTEP_HOST_DEVICE void operator()(const Place& at, int phase, Shared& shared) const {
    const std::int64_t index = at.block_x * pieces_a_block + at.thread / piece_lanes;
    const std::int64_t lane = at.thread % piece_lanes;
    if (index >= pieces(count)) return;
    double* sum = shared.lanes[at.thread / piece_lanes].data();
    if (phase == 0) {
      const std::int64_t end = (index + 1) * piece < count ? (index + 1) * piece : count;
      sum[lane] = 0;
      for (std::int64_t i = index * piece + lane; i < end; i += piece_lanes) {
        sum[lane] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
      }
      return;
    }
    const std::int64_t half = piece_lanes >> phase;
    if (lane < half) sum[lane] += sum[lane + half];
    if (lane == 0 && half == 1) sums[index] = sum[0];
  }
};

}  // namespace lockstep::cuda
