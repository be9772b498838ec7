#pragma once

#include "layers/ops/cuda/arithmetic/elementwise.h"
#include "layers/ops/cuda/arithmetic/squares.h"
#include "layers/ops/cuda/arithmetic/update.h"
#include "layers/ops/cuda/elementwise.h"
#include "layers/ops/cuda/launches/reduce.h"

namespace lockstep::cuda {

template <class Runner, class E>
void add_into(const Runner& runner, E* sum, const E* addend, std::int64_t count) {
  runner.over(count, Add<E>{sum, addend, sum});
}

template <class Runner, class From, class To>
void convert(const Runner& runner, const From* from, To* to, std::int64_t count) {
  runner.over(count, Convert<From, To>{from, to});
}

template <class Runner>
void copy(const Runner& runner, const float* from, float* to, std::int64_t count) {
  runner.over(count, Copy<float>{from, to});
}

template <class Runner>
void round(const Runner& runner, const double* from, float* to, std::int64_t count) {
  runner.over(count, Round{from, to});
}

template <class Runner>
void scale(const Runner& runner, float* values, float factor, std::int64_t count) {
  runner.over(count, Scale{values, factor});
}

template <class Runner, class From, class To>
void transpose(const Runner& runner, const From* from, std::int64_t count, std::int64_t rows,
               std::int64_t columns, To* to) {
  runner.over(columns, count * rows, Transpose<From, To>{from, rows, columns, to});
}

template <class Runner, class From, class To>
void add_bias(const Runner& runner, const float* bias, std::int64_t rows, std::int64_t columns, const From* x,
              To* y) {
  runner.over(columns, rows, AddBias<From, To>{bias, columns, x, y});
}

template <class Runner, class E>
void sum_rows(const Runner& runner, const E* dy, std::int64_t rows, std::int64_t columns, std::byte* scratch,
              float* sums) {
  reduce_rows(runner, SumOfRows<E>{dy, {rows, columns}}, StoreSum{sums}, scratch);
}

template <class Runner>
void sum_of_squares(const Runner& runner, const float* values, std::int64_t count, std::byte* scratch,
                    double* sum) {
  auto* sums = reinterpret_cast<double*>(scratch);
  runner.in_blocks(SquaresOfPieces{values, count, sums});
  fold_to_one(runner, sums, SquaresOfPieces::pieces(count), sum);
}

template <class Runner>
void find_infinite(const Runner& runner, const float* values, std::int64_t count, std::int32_t* found) {
  runner.over(count, FindInfinite{values, found});
}

template <class Runner>
void fold_sums(const Runner& runner, const float* first, std::int64_t stride, std::int64_t leaves,
               std::int64_t count, float* out) {
  runner.over(count, FoldSums{first, stride, leaves, out});
}

template <class Runner>
void update_sgd(const Runner& runner, float* parameters, const float* gradients, float* buffer, bool nesterov,
                const SgdScalars& scalars, std::int64_t count) {
  runner.over(count, SgdUpdate{parameters, gradients, buffer, nesterov, scalars});
}

template <class Runner>
void update_adamw(const Runner& runner, float* parameters, const float* gradients, float* mean, float* square,
                  const AdamWScalars& scalars, std::int64_t count) {
  runner.over(count, AdamWUpdate{parameters, gradients, mean, square, scalars});
}

}  // namespace lockstep::cuda
