#pragma once

#include <array>
#include <cstdint>

#include "layers/ops/cuda/wide_rows.h"
#include "layers/tensor/element.h"

// Sums over rows, in two kernels: ReduceRows makes one value of each column's block of rows, FoldPartials one
// of each channel. No atomics: what is merged with what depends on rows and channels alone.
//
// A kernel whose threads share memory is a struct with a number of `phases`: operator() is what a thread does
// in one of them, and all threads of a block finish a phase before any begins the next. A Value has no
// constructors (shared memory knows none), an operation `merge`, and `none()`.
namespace lockstep::cuda {

// map(column, first_row, value) takes rows first_row, first_row + warps, … of a block into `value`.
template <class Map>
struct ReduceRows {
  using Value = typename Map::Value;
  static constexpr std::int64_t threads = cuda::threads;
  static constexpr int phases = 4;  // 8 warps to 4 to 2 to 1
  struct Shared {
    std::array<std::array<Value, warp>, warps> values;
  };

  Map map;
  WideRows rows{};
  Value* partials;  // [row block][column]

  std::int64_t blocks() const { return rows.row_blocks() * rows.tiles(); }

  LOCKSTEP_HOST_DEVICE void operator()(const Place& at, int phase, Shared& shared) const {
    const std::int64_t row_block = at.block_x / rows.tiles();
    const std::int64_t lane = at.thread % warp;
    const std::int64_t group = at.thread / warp;
    const std::int64_t column = at.block_x % rows.tiles() * warp + lane;
    if (column >= rows.columns) return;
    Value& own = shared.values[group][lane];
    if (phase == 0) {
      own = Value::none();
      map(column, row_block * WideRows::rows_a_block + group, own);
      return;
    }
    const std::int64_t half = warps >> phase;
    if (group < half) own.merge(shared.values[group + half][lane]);
    if (group == 0 && half == 1) partials[row_block * rows.columns + column] = own;
  }
};

// finish(channel, value) stores a channel's value.
template <class Finish>
struct FoldPartials {
  using Value = typename Finish::Value;
  static constexpr std::int64_t folding_warps = 32;
  static constexpr std::int64_t threads = folding_warps * warp;
  static constexpr int phases = 6;  // 32 warps to 16 to 8 to 4 to 2 to 1
  struct Shared {
    std::array<std::array<Value, warp>, folding_warps> values;
  };

  Finish finish;
  WideRows rows{};
  std::int64_t row_blocks = 0;
  const Value* partials;  // [row block][column]

  std::int64_t blocks() const { return (rows.channels + warp - 1) / warp; }

  LOCKSTEP_HOST_DEVICE void operator()(const Place& at, int phase, Shared& shared) const {
    const std::int64_t lane = at.thread % warp;
    const std::int64_t group = at.thread / warp;
    const std::int64_t channel = at.block_x * warp + lane;
    if (channel >= rows.channels) return;
    Value& own = shared.values[group][lane];
    if (phase == 0) {
      own = Value::none();
      for (std::int64_t i = group; i < row_blocks * rows.repeat; i += folding_warps) {
        own.merge(partials[i * rows.channels + channel]);
      }
      return;
    }
    const std::int64_t half = folding_warps >> phase;
    if (group < half) own.merge(shared.values[group + half][lane]);
    if (group == 0 && half == 1) finish(channel, own);
  }
};

// A bias' gradient: dy summed over rows, in fp64.
struct Sum {
  double value;
  LOCKSTEP_HOST_DEVICE static Sum none() { return {0}; }
  LOCKSTEP_HOST_DEVICE void merge(const Sum& right) { value += right.value; }
};

template <class E>
struct SumOfRows {
  using Value = Sum;

  const E* dy;
  WideRows rows{};

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t column, std::int64_t first_row, Sum& sum) const {
    for (int i = 0; i < WideRows::rows_a_thread; ++i) {
      const std::int64_t at = (first_row + i * warps) * rows.columns + column;
      if (at < rows.elements) sum.value += static_cast<double>(to_float(dy[at]));
    }
  }
};

struct StoreSum {
  using Value = Sum;

  float* sums;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t channel, const Sum& sum) const {
    sums[channel] = static_cast<float>(sum.value);
  }
};

}  // namespace lockstep::cuda
