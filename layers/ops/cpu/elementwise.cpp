#include "layers/ops/elementwise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "comm/tree/exchange.h"
#include "layers/ops/activation.h"
#include "layers/ops/cpu/vectorized.h"
#include "layers/ops/kernels.h"

namespace lockstep {
namespace {

template <class E>
class Relu final : public Kernel {
 public:
  explicit Relu(std::int64_t elements) : elements_(elements) {}

  void forward(const ForwardArguments& arguments) const override {
    const auto* x = static_cast<const E*>(arguments.inputs[0]);
    auto* y = static_cast<E*>(arguments.output);
    vectorized([=, this] {
#pragma omp simd
      for (std::int64_t i = 0; i < elements_; ++i) y[i] = from_float<E>(relu(to_float(x[i])));
    });
  }

  void backward(const BackwardArguments& arguments) const override {
    const auto* y = static_cast<const E*>(arguments.output);
    const auto* dy = static_cast<const E*>(arguments.output_gradient);
    auto* dx = static_cast<E*>(arguments.input_gradients[0]);
    if (dx == nullptr) return;
    vectorized([=, this] {
#pragma omp simd
      for (std::int64_t i = 0; i < elements_; ++i) {
        dx[i] = from_float<E>(relu_gradient(to_float(y[i]), to_float(dy[i])));
      }
    });
  }

 private:
  std::int64_t elements_;
};

template <class E>
class Add final : public Kernel {
 public:
  explicit Add(std::int64_t elements) : elements_(elements) {}

  void forward(const ForwardArguments& arguments) const override {
    const auto* a = static_cast<const E*>(arguments.inputs[0]);
    const auto* b = static_cast<const E*>(arguments.inputs[1]);
    auto* y = static_cast<E*>(arguments.output);
    vectorized([=, this] {
#pragma omp simd
      for (std::int64_t i = 0; i < elements_; ++i) y[i] = from_float<E>(to_float(a[i]) + to_float(b[i]));
    });
  }

  void backward(const BackwardArguments& arguments) const override {
    const auto* dy = static_cast<const E*>(arguments.output_gradient);
    for (void* gradient : arguments.input_gradients) {
      if (gradient == nullptr) continue;
      std::copy_n(dy, elements_, static_cast<E*>(gradient));
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

template <template <class> class K>
std::unique_ptr<Kernel> make(const SampleShape& in, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(element)>>(shape.samples * in.elements());
  });
}

template <class E>
void add_elements(std::span<E> sum, std::span<const E> addend) {
  E* to = sum.data();
  const E* from = addend.data();
  vectorized([=, count = addend.size()] {
#pragma omp simd
    for (std::size_t i = 0; i < count; ++i) to[i] = from_float<E>(to_float(to[i]) + to_float(from[i]));
  });
}

}  // namespace

std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape) {
  return make<Relu>(in, shape);
}

std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape) {
  return make<Add>(in, shape);
}

void add_into(std::span<float> sum, std::span<const float> addend) {
  add_elements(sum, addend);
}

void add_into(std::span<Bf16> sum, std::span<const Bf16> addend) {
  add_elements(sum, addend);
}

void convert(std::span<const float> from, std::span<Bf16> to) {
  const float* x = from.data();
  Bf16* y = to.data();
  vectorized([=, count = from.size()] {
#pragma omp simd
    for (std::size_t i = 0; i < count; ++i) y[i] = from_float<Bf16>(x[i]);
  });
}

void convert(std::span<const Bf16> from, std::span<float> to) {
  const Bf16* x = from.data();
  float* y = to.data();
  vectorized([=, count = from.size()] {
#pragma omp simd
    for (std::size_t i = 0; i < count; ++i) y[i] = to_float(x[i]);
  });
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
