#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "layers/ops/kernel.h"
#include "layers/tensor/random.h"

// The kernels that layers are made of, one factory each. Every device implements all of them, for fp32 and
// for bf16 (KernelShape::element): those read and write it and compute in fp32, sums in fp32 or better.
namespace lockstep {

// Convolution and linear layers take an epilogue (KernelShape). Its residual may lie where the output goes,
// which saves a copy. Its ReLU makes negative values x · 2⁻⁶⁴: nothing beside the others, but NaN stays NaN,
// which oneDNN's max(x, 0) makes 0.

struct Convolution {
  SampleShape in;
  SampleShape out;
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;  // on all four sides
  std::int64_t groups = 1;   // in.channels: depthwise
  bool bias = false;
};
// Parameters: weight [out, in / groups, kernel_height, kernel_width], bias [out]. Backward reads the input.
std::unique_ptr<Kernel> make_convolution(const Convolution& convolution, const KernelShape& shape);

struct Linear {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = true;
};
// Parameters: weight [out, in], bias [out]. Backward reads the input.
std::unique_ptr<Kernel> make_linear(const Linear& linear, const KernelShape& shape);

struct Pooling {
  enum class Kind : std::uint8_t {
    max,
    average
  };  // the average does not count the padding, as oneDNN's exclude_padding
  Kind kind = Kind::max;
  SampleShape in;
  SampleShape out;
  std::int64_t window = 2;
  std::int64_t stride = 2;
  std::int64_t padding = 0;
};
// Backward reads neither input nor output; what max needs is saved. Of equals in a window the first is the
// maximum; NaN is greater than everything.
std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape);

// Mean over the image plane.
std::unique_ptr<Kernel> make_global_average_pooling(const SampleShape& in, const KernelShape& shape);

// To a vector in PyTorch's order (channel, row, column), so that weights behind it are PyTorch's.
std::unique_ptr<Kernel> make_flatten(const SampleShape& in, const KernelShape& shape);

// Zeroes each element with `probability`, scales the others by 1 / (1 − probability). Keyed by (random's key,
// step, position in the global batch, NHWC index in the sample). Backward draws again and reads nothing.
std::unique_ptr<Kernel> make_dropout(const SampleShape& in, float probability, const Random& random,
                                     const KernelShape& shape);

// max(x, 0), NaN stays NaN. Backward reads the output: the gradient passes where it is > 0.
std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape);

// inputs[0] + inputs[1]. Backward copies the gradient to both.
std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape);

}  // namespace lockstep
