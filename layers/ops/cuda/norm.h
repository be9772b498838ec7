#pragma once

#include <cstddef>
#include <cstdint>

#include "layers/ops/norm.h"

// layers/ops/norm.h on a GPU, pass by pass: the same meaning, but all arrays lie there, and sums need scratch
// memory. Each call puts its kernels into a stream and returns. E: float or Bf16; Runner: Stream (or, in
// tests, what runs the same threads on the CPU).
namespace lockstep::cuda::norm {

using lockstep::norm::Same;

// Of moments and of backward_sums.
std::size_t scratch_bytes(std::int64_t rows, std::int64_t channels);

template <class Runner, class E>
void moments(const Runner& runner, const E* x, std::int64_t rows, std::int64_t channels, std::byte* scratch,
             double* moments);

// As norm::Affine; a value a channel.
struct Constants {
  const float *mean, *inverse_deviation, *scale, *shift;
};

template <class Runner, class E>
void normalize(const Runner& runner, const E* x, const Same<E>* residual, bool relu,
               const Constants& constants, std::int64_t rows, std::int64_t channels, Same<E>* y);

template <class Runner, class E>
void backward_sums(const Runner& runner, const E* x, const Same<E>* y, Same<E>* dy, bool relu, bool residual,
                   const Constants& constants, std::int64_t rows, std::int64_t channels,
                   Same<E>* residual_gradient, bool accumulate, std::byte* scratch, double* sums);

// As norm::GroupSums; a value a channel.
struct GroupSums {
  const double *dz, *dz_xhat;
  std::int64_t count;
};

template <class Runner, class E>
void backward_apply(const Runner& runner, const E* x, const Same<E>* dy, bool masked,
                    const Constants& constants, const GroupSums& sums, std::int64_t rows,
                    std::int64_t channels, Same<E>* dx);

template <class Runner, class E>
void backward_frozen(const Runner& runner, const E* x, const Same<E>* dy, bool masked,
                     const Constants& constants, std::int64_t rows, std::int64_t channels, Same<E>* dx);

}  // namespace lockstep::cuda::norm
