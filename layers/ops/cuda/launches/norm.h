#pragma once

#include "layers/ops/cuda/arithmetic/norm.h"
#include "layers/ops/cuda/launches/reduce.h"
#include "layers/ops/cuda/norm.h"

namespace lockstep::cuda::norm {

template <class Runner, class E>
void moments(const Runner& runner, const E* x, std::int64_t rows, std::int64_t channels, std::byte* scratch,
             double* moments) {
  reduce_rows(runner, MomentsOfRows<E>{x, {rows, channels}}, StoreMoments{moments, channels}, scratch);
}

template <class Runner, class E>
void normalize(const Runner& runner, const E* x, const Same<E>* residual, bool relu,
               const Constants& constants, std::int64_t rows, std::int64_t channels, Same<E>* y) {
  const WideRows wide(rows, channels);
  runner.over(wide.columns, wide.rows, Normalize<E>{x, residual, relu, constants, wide, y});
}

template <class Runner, class E>
void backward_sums(const Runner& runner, const E* x, const Same<E>* y, Same<E>* dy, bool relu, bool residual,
                   const Constants& constants, std::int64_t rows, std::int64_t channels,
                   Same<E>* residual_gradient, bool accumulate, std::byte* scratch, double* sums) {
  const ProductsOfRows<E> products{
      x, y, dy, relu, residual, residual_gradient, accumulate, constants, {rows, channels}};
  reduce_rows(runner, products, StoreSums{sums, channels, constants.inverse_deviation}, scratch);
}

template <class Runner, class E>
void backward_apply(const Runner& runner, const E* x, const Same<E>* dy, bool masked,
                    const Constants& constants, const GroupSums& sums, std::int64_t rows,
                    std::int64_t channels, Same<E>* dx) {
  const WideRows wide(rows, channels);
  runner.over(wide.columns, wide.rows, BackwardApply<E, false>{x, dy, masked, constants, sums, wide, dx});
}

template <class Runner, class E>
void backward_frozen(const Runner& runner, const E* x, const Same<E>* dy, bool masked,
                     const Constants& constants, std::int64_t rows, std::int64_t channels, Same<E>* dx) {
  const WideRows wide(rows, channels);
  runner.over(wide.columns, wide.rows, BackwardApply<E, true>{x, dy, masked, constants, {}, wide, dx});
}

}  // namespace lockstep::cuda::norm
