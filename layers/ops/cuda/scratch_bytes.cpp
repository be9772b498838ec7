#include "layers/ops/cuda/arithmetic/norm.h"
#include "layers/ops/cuda/arithmetic/reduce.h"
#include "layers/ops/cuda/arithmetic/squares.h"
#include "layers/ops/cuda/elementwise.h"
#include "layers/ops/cuda/loss.h"
#include "layers/ops/cuda/norm.h"

namespace lockstep::cuda {
namespace {

template <class Value>
std::size_t bytes_of(std::int64_t count) {
  return static_cast<std::size_t>(count) * sizeof(Value);
}

}  // namespace

std::size_t sum_rows_scratch_bytes(std::int64_t rows, std::int64_t columns) {
  return bytes_of<Sum>(WideRows(rows, columns).partials());
}

std::size_t sum_of_squares_scratch_bytes(std::int64_t count) {
  return bytes_of<double>(SquaresOfPieces::pieces(count));
}

std::size_t loss_scratch_bytes(std::int64_t samples) {
  return bytes_of<LossOfSamples>(samples);
}

std::size_t norm::scratch_bytes(std::int64_t rows, std::int64_t channels) {
  static_assert(sizeof(Moments) > sizeof(Products));
  return bytes_of<Moments>(WideRows(rows, channels).partials());
}

}  // namespace lockstep::cuda
