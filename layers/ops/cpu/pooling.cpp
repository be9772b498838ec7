#include <algorithm>
#include <stdexcept>

#include "layers/ops/kernels.h"

// Own loops: oneDNN's max passes over NaN, and then a diverged run would not be seen.
namespace lockstep {
namespace {

// Calls visit(output pixel, window) for each output pixel of a shard; a window lists its input pixels,
// clipped to the image, through `for_each`. Pixels are counted over the shard.
struct Window {
  std::int64_t first;  // the image's first pixel
  std::int64_t width;  // of the image
  std::int64_t top, bottom, left, right;

  std::int64_t count() const { return (bottom - top) * (right - left); }
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::int64_t row = top; row < bottom; ++row) {
      for (std::int64_t column = left; column < right; ++column) visit(first + row * width + column);
    }
  }
};

template <class Visit>
void for_each_window(const Pooling& p, std::int64_t samples, const Visit& visit) {
  std::int64_t output = 0;
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    for (std::int64_t row = 0; row < p.out.height; ++row) {
      const std::int64_t top = row * p.stride - p.padding;
      for (std::int64_t column = 0; column < p.out.width; ++column) {
        const std::int64_t left = column * p.stride - p.padding;
        visit(output++, Window{sample * p.in.pixels(), p.in.width, std::max<std::int64_t>(top, 0),
                               std::min(top + p.window, p.in.height), std::max<std::int64_t>(left, 0),
                               std::min(left + p.window, p.in.width)});
      }
    }
  }
}

// Saves the pixel that won. The first of equals wins; NaN wins over everything.
class MaxPooling final : public Kernel {
 public:
  MaxPooling(const Pooling& pooling, std::int64_t samples) : pooling_(pooling), samples_(samples) {}

  std::size_t saved_bytes() const override {
    return static_cast<std::size_t>(samples_ * pooling_.out.elements()) * sizeof(std::int32_t);
  }

  void forward(const ForwardArguments& arguments) const override {
    const std::int64_t channels = pooling_.in.channels;
    auto* winners = reinterpret_cast<std::int32_t*>(arguments.saved);
    for_each_window(pooling_, samples_, [&](std::int64_t output, const Window& window) {
      float* best = arguments.output + output * channels;
      std::int32_t* winner = winners + output * channels;
      const std::int64_t first = window.first + window.top * window.width + window.left;
      std::copy_n(arguments.inputs[0] + first * channels, channels, best);
      std::fill_n(winner, channels, static_cast<std::int32_t>(first));
      window.for_each([&](std::int64_t input) {
        const float* x = arguments.inputs[0] + input * channels;
        const auto pixel = static_cast<std::int32_t>(input);
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
          const bool wins = !(x[c] <= best[c]) && best[c] == best[c];
          winner[c] = wins ? pixel : winner[c];
          best[c] = wins ? x[c] : best[c];
        }
      });
    });
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const std::int64_t channels = pooling_.in.channels;
    const auto* winners = reinterpret_cast<const std::int32_t*>(arguments.saved);
    std::fill_n(arguments.input_gradients[0], samples_ * pooling_.in.elements(), 0.0F);
    for_each_window(pooling_, samples_, [&](std::int64_t output, const Window& window) {
      const float* dy = arguments.output_gradient + output * channels;
      const std::int32_t* winner = winners + output * channels;
      window.for_each([&](std::int64_t input) {
        float* dx = arguments.input_gradients[0] + input * channels;
        const auto pixel = static_cast<std::int32_t>(input);
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) dx[c] += winner[c] == pixel ? dy[c] : 0.0F;
      });
    });
  }

 private:
  Pooling pooling_;
  std::int64_t samples_;
};

class AveragePooling final : public Kernel {
 public:
  AveragePooling(const Pooling& pooling, std::int64_t samples) : pooling_(pooling), samples_(samples) {}

  void forward(const ForwardArguments& arguments) const override {
    const std::int64_t channels = pooling_.in.channels;
    for_each_window(pooling_, samples_, [&](std::int64_t output, const Window& window) {
      float* y = arguments.output + output * channels;
      std::fill_n(y, channels, 0.0F);
      window.for_each([&](std::int64_t input) {
        const float* x = arguments.inputs[0] + input * channels;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) y[c] += x[c];
      });
      const float share = 1.0F / static_cast<float>(window.count());
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) y[c] *= share;
    });
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    const std::int64_t channels = pooling_.in.channels;
    std::fill_n(arguments.input_gradients[0], samples_ * pooling_.in.elements(), 0.0F);
    for_each_window(pooling_, samples_, [&](std::int64_t output, const Window& window) {
      const float* dy = arguments.output_gradient + output * channels;
      const float share = 1.0F / static_cast<float>(window.count());
      window.for_each([&](std::int64_t input) {
        float* dx = arguments.input_gradients[0] + input * channels;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) dx[c] += dy[c] * share;
      });
    });
  }

 private:
  Pooling pooling_;
  std::int64_t samples_;
};

}  // namespace

std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape) {
  if (pooling.padding >= pooling.window) throw std::logic_error("a pooling window that lies in the padding");
  if (pooling.kind == Pooling::Kind::max) return std::make_unique<MaxPooling>(pooling, shape.samples);
  return std::make_unique<AveragePooling>(pooling, shape.samples);
}

}  // namespace lockstep
