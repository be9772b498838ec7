#pragma once

#include <array>
#include <cstdint>

#include "comm/tree/moments.h"
#include "layers/ops/cuda/norm.h"
#include "layers/ops/cuda/wide_rows.h"
#include "layers/ops/norm_formulas.h"

// Batch normalization's passes (layers/ops/norm.h), thread by thread.
namespace lockstep::cuda::norm {

// Moments of some values.
struct Moments {
  double count, mean, m2;

  LOCKSTEP_HOST_DEVICE static Moments none() { return {0, 0, 0}; }
  LOCKSTEP_HOST_DEVICE void merge(const Moments& right) {
    if (right.count == 0) return;
    MomentsMerge(count, right.count)(mean, m2, right.mean, right.m2);
    count += right.count;
  }
};

// Moments of a thread's rows, which stay in registers: two passes over them in fp64, so that nothing cancels
// whatever the mean. The loops' lengths are constants, or the values would not be in registers.
template <class E>
struct MomentsOfRows {
  using Value = Moments;

  const E* x;
  WideRows rows{};

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t column, std::int64_t first_row, Moments& moments) const {
    std::array<float, WideRows::rows_a_thread> values{};
    int count = 0;
    for (int i = 0; i < WideRows::rows_a_thread; ++i) {
      const std::int64_t at = (first_row + i * warps) * rows.columns + column;
      const bool exists = at < rows.elements;
      values[i] = exists ? to_float(x[at]) : 0.0F;
      count += exists ? 1 : 0;
    }
    if (count == 0) return;
    double sum = 0;
    for (int i = 0; i < WideRows::rows_a_thread; ++i) {
      if (i < count) sum += static_cast<double>(values[i]);
    }
    const double mean = sum / count;
    double m2 = 0;
    for (int i = 0; i < WideRows::rows_a_thread; ++i) {
      const double deviation = static_cast<double>(values[i]) - mean;
      if (i < count) m2 += deviation * deviation;
    }
    moments = {static_cast<double>(count), mean, m2};
  }
};

struct StoreMoments {
  using Value = Moments;

  double* moments;
  std::int64_t channels;

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t channel, const Moments& value) const {
    moments[channel] = value.mean;
    moments[channels + channel] = value.m2;
  }
};

template <class E>
struct Normalize {
  const E* x;
  const E* residual;  // or null
  bool with_relu = false;
  Constants constants{};
  WideRows rows{};
  E* y;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t column) const {
    const std::int64_t channel = column % rows.channels;
    const float mean = constants.mean[channel];
    const float scale = constants.scale[channel];
    const float shift = constants.shift[channel];
    return [=, *this](std::int64_t row) {
      const std::int64_t at = row * rows.columns + column;
      if (at >= rows.elements) return;
      float value = lockstep::norm::normalized(to_float(x[at]), mean, scale, shift);
      if (residual != nullptr) value = stored<E>(value) + to_float(residual[at]);
      y[at] = from_float<E>(with_relu ? relu(value) : value);
    };
  }
};

// dz: Σ dz; product: Σ dz · (x − mean).
struct Products {
  double dz, product;

  LOCKSTEP_HOST_DEVICE static Products none() { return {0, 0}; }
  LOCKSTEP_HOST_DEVICE void merge(const Products& right) {
    dz += right.dz;
    product += right.product;
  }
};

// The sums of a thread's rows. Where a residual joined, also what `backward_sums` leaves behind.
template <class E>
struct ProductsOfRows {
  using Value = Products;

  const E* x;
  const E* y;  // where a residual joined before a ReLU
  E* dy;
  bool with_relu = false, with_residual = false;
  E* residual_gradient;  // or null
  bool accumulate = false;
  Constants constants{};
  WideRows rows{};

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t column, std::int64_t first_row, Products& sums) const {
    const std::int64_t channel = column % rows.channels;
    const float mean = constants.mean[channel];
    const float scale = constants.scale[channel];
    const float shift = constants.shift[channel];
    for (int i = 0; i < WideRows::rows_a_thread; ++i) {
      const std::int64_t at = (first_row + i * warps) * rows.columns + column;
      if (at >= rows.elements) return;
      const bool masked = with_relu && !with_residual;
      if (with_residual) pass_to_residual(at);
      const float value =
          masked ? lockstep::norm::dz_of<true>(dy[at], x[at], mean, scale, shift) : to_float(dy[at]);
      const auto dz = static_cast<double>(value);
      sums.dz += dz;
      sums.product += dz * static_cast<double>(to_float(x[at]) - mean);
    }
  }

 private:
  LOCKSTEP_HOST_DEVICE void pass_to_residual(std::int64_t at) const {
    if (with_relu) dy[at] = from_float<E>(relu_gradient(to_float(y[at]), to_float(dy[at])));
    if (residual_gradient == nullptr) return;
    residual_gradient[at] =
        accumulate ? from_float<E>(to_float(residual_gradient[at]) + to_float(dy[at])) : dy[at];
  }
};

struct StoreSums {
  using Value = Products;

  double* sums;
  std::int64_t channels;
  const float* inverse_deviation;

  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t channel, const Products& value) const {
    sums[channel] = value.dz;
    sums[channels + channel] = value.product * static_cast<double>(inverse_deviation[channel]);
  }
};

template <class E, bool frozen>
struct BackwardApply {
  const E* x;
  const E* dy;
  bool masked = false;
  Constants constants{};
  GroupSums sums{};  // not read where frozen
  WideRows rows{};
  E* dx;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t column) const {
    const std::int64_t channel = column % rows.channels;
    const float mean = constants.mean[channel];
    const float scale = constants.scale[channel];
    const float shift = constants.shift[channel];
    const lockstep::norm::GroupTerms terms = terms_of(channel);
    return [=, *this](std::int64_t row) {
      const std::int64_t at = row * rows.columns + column;
      if (at >= rows.elements) return;
      using lockstep::norm::dz_of;
      const float dz = masked ? dz_of<true>(dy[at], x[at], mean, scale, shift) : to_float(dy[at]);
      const float gradient =
          frozen ? scale * dz
                 : lockstep::norm::dx_of(dz, to_float(x[at]), mean, scale, terms.mean_dz, terms.slope);
      dx[at] = from_float<E>(gradient);
    };
  }

 private:
  LOCKSTEP_HOST_DEVICE lockstep::norm::GroupTerms terms_of(std::int64_t channel) const {
    if constexpr (frozen) return {};
    return lockstep::norm::group_terms(sums.dz[channel], sums.dz_xhat[channel],
                                       static_cast<double>(sums.count), constants.inverse_deviation[channel]);
  }
};

}  // namespace lockstep::cuda::norm
