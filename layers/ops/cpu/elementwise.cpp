#include "layers/ops/elementwise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "comm/tree/exchange.h"
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

// Lanes, so that the loop needs no order of its own; the products are exact.
double block_of_squares(std::span<const float> values) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sums{};
  const auto add = [&](std::size_t lane, float value) {
    sums[lane] += static_cast<double>(value) * static_cast<double>(value);
  };
  const std::size_t whole = values.size() / lanes * lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) add(lane, values[i + lane]);
  }
  for (std::size_t i = whole; i < values.size(); ++i) add(i - whole, values[i]);
  for (std::size_t half = lanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

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

double sum_of_squares(std::span<const float> values) {
  constexpr std::size_t block = 4096;
  if (values.empty()) return 0;
  std::vector<double> sums;
  sums.reserve(values.size() / block + 1);
  for (std::size_t begin = 0; begin < values.size(); begin += block) {
    sums.push_back(block_of_squares(values.subspan(begin, std::min(block, values.size() - begin))));
  }
  const auto blocks = static_cast<std::int64_t>(sums.size());
  std::vector<Part<double>> parts;
  parts.reserve(sums.size());
  for (std::int64_t i = 0; i < blocks; ++i) {
    parts.push_back({.node = {i, i + 1}, .values = &sums[static_cast<std::size_t>(i)]});
  }
  return *fold_in_place({0, blocks}, parts, sum_of(1));
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
