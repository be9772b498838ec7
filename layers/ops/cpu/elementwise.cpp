#include "layers/ops/elementwise.h"

#include <bit>

#include "layers/ops/cpu/activation.h"
#include "layers/ops/kernels.h"

namespace lockstep {
namespace {

class Relu final : public Kernel {
 public:
  explicit Relu(std::int64_t elements) : elements_(elements) {}

  void forward(const ForwardArguments& arguments) const override {
    const float* x = arguments.inputs[0];
    float* y = arguments.output;
#pragma omp simd
    for (std::int64_t i = 0; i < elements_; ++i) y[i] = relu(x[i]);
  }

  void backward(const BackwardArguments& arguments) const override {
    const float* y = arguments.output;
    const float* dy = arguments.output_gradient;
    float* dx = arguments.input_gradients[0];
    if (dx == nullptr) return;
#pragma omp simd
    for (std::int64_t i = 0; i < elements_; ++i) dx[i] = relu_gradient(y[i], dy[i]);
  }

 private:
  std::int64_t elements_;
};

class Add final : public Kernel {
 public:
  explicit Add(std::int64_t elements) : elements_(elements) {}

  void forward(const ForwardArguments& arguments) const override {
    const float* a = arguments.inputs[0];
    const float* b = arguments.inputs[1];
    float* y = arguments.output;
#pragma omp simd
    for (std::int64_t i = 0; i < elements_; ++i) y[i] = a[i] + b[i];
  }

  void backward(const BackwardArguments& arguments) const override {
    const float* dy = arguments.output_gradient;
    for (float* dx : arguments.input_gradients) {
      if (dx == nullptr) continue;
#pragma omp simd
      for (std::int64_t i = 0; i < elements_; ++i) dx[i] = dy[i];
    }
  }

 private:
  std::int64_t elements_;
};

}  // namespace

std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape) {
  return std::make_unique<Relu>(shape.samples * in.elements());
}

std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape) {
  return std::make_unique<Add>(shape.samples * in.elements());
}

void add_into(std::span<float> sum, std::span<const float> addend) {
  float* to = sum.data();
  const float* from = addend.data();
#pragma omp simd
  for (std::size_t i = 0; i < addend.size(); ++i) to[i] += from[i];
}

bool all_finite(std::span<const float> values) {
  // An exponent of all ones is an infinity or NaN. Integers, so that the loop has no order to keep.
  constexpr std::uint32_t exponent = 0x7f800000;
  std::uint32_t found = 0;
  for (const float value : values) {
    found |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & exponent) == exponent);
  }
  return found == 0;
}

}  // namespace lockstep
