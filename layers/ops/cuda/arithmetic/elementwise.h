#pragma once

#include <bit>
#include <cstdint>

#include "layers/ops/activation.h"
#include "layers/ops/cuda/grid.h"
#include "layers/tensor/element.h"

// What is done to each element by itself.
namespace lockstep::cuda {

template <class E>
struct Relu {
  const E* x;
  E* y;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const { y[i] = from_float<E>(relu(to_float(x[i]))); }
};

template <class E>
struct ReluGradient {
  const E* y;
  const E* dy;
  E* dx;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const {
    dx[i] = from_float<E>(relu_gradient(to_float(y[i]), to_float(dy[i])));
  }
};

// sum = left + right; sum may be one of them.
template <class E>
struct Add {
  const E* left;
  const E* right;
  E* sum;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const {
    sum[i] = from_float<E>(to_float(left[i]) + to_float(right[i]));
  }
};

template <class From, class To>
struct Convert {
  const From* from;
  To* to;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = from_float<To>(to_float(from[i])); }
};

template <class E>
struct Copy {
  const E* from;
  E* to;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = from[i]; }
};

struct Round {
  const double* from;
  float* to;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = static_cast<float>(from[i]); }
};

struct Scale {
  float* values;
  float factor;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const { values[i] *= factor; }
};

// y = x + bias, row after row; y may be x.
template <class From, class To>
struct AddBias {
  const float* bias;
  std::int64_t columns;
  const From* x;
  To* y;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t column) const {
    return [value = bias[column], column, *this](std::int64_t row) {
      const std::int64_t i = row * columns + column;
      y[i] = from_float<To>(to_float(x[i]) + value);
    };
  }
};

// Writes 1 to `found` if a value is infinite or NaN; all who write write the same.
struct FindInfinite {
  const float* values;
  std::int32_t* found;
  LOCKSTEP_HOST_DEVICE void operator()(std::int64_t i) const {
    constexpr std::uint32_t exponent = 0x7f800000;
    if ((std::bit_cast<std::uint32_t>(values[i]) & exponent) == exponent) *found = 1;
  }
};

// Each of many [rows, columns] to [columns, rows]. For each column of the first, and all rows of all.
template <class From, class To>
struct Transpose {
  const From* from;
  std::int64_t rows, columns;
  To* to;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t column) const {
    return [column, *this](std::int64_t row_of_all) {
      const std::int64_t matrix = row_of_all / rows;
      const std::int64_t row = row_of_all % rows;
      to[(matrix * columns + column) * rows + row] =
          from_float<To>(to_float(from[row_of_all * columns + column]));
    };
  }
};

}  // namespace lockstep::cuda
