#pragma once

#include <cstddef>
#include <cstdint>

#include "layers/ops/update.h"
#include "layers/tensor/element.h"

// What is done to whole arrays on a GPU, where they all lie. Each call puts its kernels into a stream and
// returns. Counts are in elements and may be 0. Runner: Stream (or, in tests, what runs the same threads on
// the CPU).
namespace lockstep::cuda {

// sum[i] += addend[i]. E: float or Bf16.
template <class Runner, class E>
void add_into(const Runner& runner, E* sum, const E* addend, std::int64_t count);

// to[i] = from[i], rounded to the nearest: float to Bf16 or back.
template <class Runner, class From, class To>
void convert(const Runner& runner, const From* from, To* to, std::int64_t count);

// to[i] = from[i].
template <class Runner>
void copy(const Runner& runner, const float* from, float* to, std::int64_t count);
// The same, rounded to the nearest.
template <class Runner>
void round(const Runner& runner, const double* from, float* to, std::int64_t count);

// values[i] ← values[i] · factor.
template <class Runner>
void scale(const Runner& runner, float* values, float factor, std::int64_t count);

// Each of `count` matrices [rows, columns] to [columns, rows], rounded to the nearest To.
template <class Runner, class From, class To>
void transpose(const Runner& runner, const From* from, std::int64_t count, std::int64_t rows,
               std::int64_t columns, To* to);

// y[row, column] = x[row, column] + bias[column], rounded once; y may be x. From: float; To: float
// or Bf16.
template <class Runner, class From, class To>
void add_bias(const Runner& runner, const float* bias, std::int64_t rows, std::int64_t columns, const From* x,
              To* y);

// sums[column] = Σ dy[row, column], in fp64 over fixed blocks of rows.
std::size_t sum_rows_scratch_bytes(std::int64_t rows, std::int64_t columns);
template <class Runner, class E>
void sum_rows(const Runner& runner, const E* dy, std::int64_t rows, std::int64_t columns, std::byte* scratch,
              float* sums);

// *sum = Σ value² of at least one value: the bits of layers/ops/elementwise.h.
std::size_t sum_of_squares_scratch_bytes(std::int64_t count);
template <class Runner>
void sum_of_squares(const Runner& runner, const float* values, std::int64_t count, std::byte* scratch,
                    double* sum);

// *found becomes 1 where a value is infinite or NaN, else it stays as it was.
template <class Runner>
void find_infinite(const Runner& runner, const float* values, std::int64_t count, std::int32_t* found);

// out[i] = Σ leaf[i] along the fixed tree (comm/tree), over `leaves` ≥ 1 arrays that start `stride` elements
// apart. out may be the first of them.
template <class Runner>
void fold_sums(const Runner& runner, const float* first, std::int64_t stride, std::int64_t leaves,
               std::int64_t count, float* out);

// Steps of the optimizers (trainer/optim) on `count` parameters that are treated alike. buffer: null where
// there is no momentum.
template <class Runner>
void update_sgd(const Runner& runner, float* parameters, const float* gradients, float* buffer, bool nesterov,
                const SgdScalars& scalars, std::int64_t count);
template <class Runner>
void update_adamw(const Runner& runner, float* parameters, const float* gradients, float* mean, float* square,
                  const AdamWScalars& scalars, std::int64_t count);

}  // namespace lockstep::cuda
