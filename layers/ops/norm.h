#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "layers/tensor/element.h"

// Batch normalization on one shard: arrays of `rows` rows (samples × pixels) of `channels` channels. What
// crosses shards is done by the plan. Sums go over fixed blocks of rows, so a result depends on rows and
// channels alone. Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1; residual add and ReLU join
// the pass. E: float or Bf16. Arithmetic is in fp32 and better, rounded wherever passes that are not joined
// would store, so that joined ones give the same bits.
namespace lockstep::norm {

template <class E>
using Same = std::type_identity_t<E>;  // takes no part in finding out what E is

// moments[0, channels): means; moments[channels, 2·channels): sums of squared deviations (M2). Shifted by the
// shard's first row, so nothing cancels where |mean| ≫ deviation. rows ≥ 1.
template <class E>
void moments(const E* x, std::int64_t rows, std::int64_t channels, double* moments);

// What one group's statistics make of a channel: x̂ = (x − mean) · inverse_deviation, y = (x − mean) · scale +
// shift, scale = gamma · inverse_deviation, shift = beta.
struct Affine {
  std::span<const float> mean, inverse_deviation, scale, shift;
};

// y = (x − mean) · scale + shift [+ residual] [then ReLU]. residual may be null. y may be x.
template <class E>
void normalize(const E* x, const Same<E>* residual, bool relu, const Affine& affine, std::int64_t rows,
               std::int64_t channels, Same<E>* y);

// With dz = dy where the ReLU passed, else 0 (dz = dy without one):
//   sums[0, channels) = Σ dz, sums[channels, 2·channels) = Σ dz · x̂.
// relu without a residual: the mask is recomputed from x and y is not read. With one: y > 0 decides, and dz
// is written over dy. residual_gradient: null, or it receives dz: overwritten, or added to where accumulate.
template <class E>
void backward_sums(const E* x, const Same<E>* y, Same<E>* dy, bool relu, bool residual, const Affine& affine,
                   std::int64_t rows, std::int64_t channels, Same<E>* residual_gradient, bool accumulate,
                   double* sums);

// dx = scale · (dz − sum_dz / count − x̂ · sum_dzx / count), where the sums are those of the whole group and
// count its values a channel. `masked`: dy still has to be masked as above (relu without residual). dx may be
// dy.
struct GroupSums {
  std::span<const double> dz, dz_xhat;
  std::int64_t count = 0;
};
template <class E>
void backward_apply(const E* x, const Same<E>* dy, bool masked, const Affine& affine, const GroupSums& sums,
                    std::int64_t rows, std::int64_t channels, Same<E>* dx);

// The same with frozen statistics, which are constants: dx = scale · dz.
template <class E>
void backward_frozen(const E* x, const Same<E>* dy, bool masked, const Affine& affine, std::int64_t rows,
                     std::int64_t channels, Same<E>* dx);

}  // namespace lockstep::norm
