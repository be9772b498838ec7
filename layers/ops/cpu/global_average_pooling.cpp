#include <algorithm>

#include "layers/ops/kernels.h"

namespace lockstep {
namespace {

// Sums in fp64, pixel after pixel.
template <class E>
class GlobalAveragePooling final : public Kernel {
 public:
  GlobalAveragePooling(const SampleShape& in, std::int64_t samples) : in_(in), samples_(samples) {}

  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(in_.channels) * sizeof(double);
  }

  void forward(const ForwardArguments& arguments) const override {
    auto* sums = reinterpret_cast<double*>(arguments.scratch);
    const auto* x = static_cast<const E*>(arguments.inputs[0]);
    auto* y = static_cast<E*>(arguments.output);
    for (std::int64_t sample = 0; sample < samples_; ++sample, y += in_.channels) {
      std::fill_n(sums, in_.channels, 0.0);
      for (std::int64_t pixel = 0; pixel < in_.pixels(); ++pixel, x += in_.channels) {
#pragma omp simd
        for (std::int64_t c = 0; c < in_.channels; ++c) sums[c] += static_cast<double>(to_float(x[c]));
      }
      const auto pixels = static_cast<double>(in_.pixels());
      for (std::int64_t c = 0; c < in_.channels; ++c) {
        y[c] = from_float<E>(static_cast<float>(sums[c] / pixels));
      }
    }
  }

  void backward(const BackwardArguments& arguments) const override {
    const auto* dy = static_cast<const E*>(arguments.output_gradient);
    auto* dx = static_cast<E*>(arguments.input_gradients[0]);
    if (dx == nullptr) return;
    const auto pixels = static_cast<float>(in_.pixels());
    for (std::int64_t sample = 0; sample < samples_; ++sample, dy += in_.channels) {
      for (std::int64_t pixel = 0; pixel < in_.pixels(); ++pixel, dx += in_.channels) {
#pragma omp simd
        for (std::int64_t c = 0; c < in_.channels; ++c) dx[c] = from_float<E>(to_float(dy[c]) / pixels);
      }
    }
  }

 private:
  SampleShape in_;
  std::int64_t samples_;
};

}  // namespace

std::unique_ptr<Kernel> make_global_average_pooling(const SampleShape& in, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<GlobalAveragePooling<decltype(element)>>(in, shape.samples);
  });
}

}  // namespace lockstep
