#include <algorithm>
#include <stdexcept>
#include <vector>

#include "layers/ops/cpu/vectorized.h"
#include "layers/ops/kernels.h"
#include "layers/ops/reach.h"

// Own loops: oneDNN's max passes over NaN, and then a diverged run would not be seen.
namespace lockstep {
namespace {

// A rectangle of pixels of one image, counted over the shard.
struct Area {
  std::int64_t first;  // the image's first pixel
  std::int64_t width;  // of the image
  Reach rows, columns;

  std::int64_t count() const { return rows.size() * columns.size(); }
  std::int64_t first_pixel() const { return first + rows.begin * width + columns.begin; }
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      for (std::int64_t column = columns.begin; column < columns.end; ++column) {
        visit(first + row * width + column);
      }
    }
  }
};

// The inputs that each output along a side sees.
std::vector<Reach> windows(const Pooling& p, std::int64_t inputs, std::int64_t outputs) {
  std::vector<Reach> reaches;
  reaches.reserve(static_cast<std::size_t>(outputs));
  for (std::int64_t output = 0; output < outputs; ++output) {
    reaches.push_back(window_of(p, output, inputs));
  }
  return reaches;
}

// The outputs that see each input along a side.
std::vector<Reach> watchers(const Pooling& p, std::int64_t inputs, std::int64_t outputs) {
  std::vector<Reach> reaches;
  reaches.reserve(static_cast<std::size_t>(inputs));
  for (std::int64_t input = 0; input < inputs; ++input) {
    reaches.push_back(watchers_of(p, input, outputs));
  }
  return reaches;
}

// An area of one image for each pixel of another, of `samples` such pairs.
struct Areas {
  std::vector<Reach> rows, columns;
  std::int64_t pixels, width;  // of the image that areas lie in

  Area of(std::int64_t sample, std::size_t row, std::size_t column) const {
    return {sample * pixels, width, rows[row], columns[column]};
  }
  // visit(pixel, area) for each pixel, counted over the shard.
  template <class Visit>
  void for_each(std::int64_t samples, const Visit& visit) const {
    std::int64_t pixel = 0;
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      for (std::size_t row = 0; row < rows.size(); ++row) {
        for (std::size_t column = 0; column < columns.size(); ++column) {
          visit(pixel++, of(sample, row, column));
        }
      }
    }
  }
};

// A pixel's channels are put together in fp32, in scratch memory, and stored once.
template <class E>
class PoolingKernel : public Kernel {
 public:
  PoolingKernel(const Pooling& p, std::int64_t samples)
      : channels_(p.in.channels),
        samples_(samples),
        outputs_(samples * p.out.pixels()),
        windows_{windows(p, p.in.height, p.out.height), windows(p, p.in.width, p.out.width), p.in.pixels(),
                 p.in.width},
        watchers_{watchers(p, p.in.height, p.out.height), watchers(p, p.in.width, p.out.width),
                  p.out.pixels(), p.out.width} {}

  std::size_t scratch_bytes() const override { return static_cast<std::size_t>(channels_) * sizeof(float); }

 protected:
  std::int64_t channels() const { return channels_; }
  std::int64_t outputs() const { return outputs_; }  // pixels

  // combine(output, window, values) puts an output's channels together.
  template <class Combine>
  void each_output(const ForwardArguments& arguments, const Combine& combine) const {
    auto* y = static_cast<E*>(arguments.output);
    auto* values = reinterpret_cast<float*>(arguments.scratch);
    vectorized([&] {
      windows_.for_each(samples_, [&](std::int64_t output, const Area& window) {
        combine(output, window, values);
        store(values, y + output * channels_);
      });
    });
  }

  // An input's gradient is what add(input, output, sum) adds up over the outputs that see it, in their order.
  template <class Add>
  void each_input(const BackwardArguments& arguments, const Add& add) const {
    auto* dx = static_cast<E*>(arguments.input_gradients[0]);
    if (dx == nullptr) return;
    auto* sum = reinterpret_cast<float*>(arguments.scratch);
    vectorized([&] {
      watchers_.for_each(samples_, [&](std::int64_t input, const Area& outputs) {
        std::fill_n(sum, channels_, 0.0F);
        outputs.for_each([&](std::int64_t output) { add(input, output, sum); });
        store(sum, dx + input * channels_);
      });
    });
  }

 private:
  void store(const float* values, E* to) const {
#pragma omp simd
    for (std::int64_t c = 0; c < channels_; ++c) to[c] = from_float<E>(values[c]);
  }

  std::int64_t channels_;
  std::int64_t samples_;
  std::int64_t outputs_;
  Areas windows_;   // of an output, in the input
  Areas watchers_;  // of an input, in the output
};

// Saves the pixel that won. The first of equals wins; NaN wins over everything.
template <class E>
class MaxPooling final : public PoolingKernel<E> {
 public:
  using PoolingKernel<E>::PoolingKernel;

  std::size_t saved_bytes() const override {
    return static_cast<std::size_t>(this->outputs() * this->channels()) * sizeof(std::int32_t);
  }

  void forward(const ForwardArguments& arguments) const override {
    const std::int64_t channels = this->channels();
    const auto* inputs = static_cast<const E*>(arguments.inputs[0]);
    auto* winners = reinterpret_cast<std::int32_t*>(arguments.saved);
    this->each_output(arguments, [=](std::int64_t output, const Area& window, float* best) {
      std::int32_t* winner = winners + output * channels;
      const std::int64_t first = window.first_pixel();
      convert_row(inputs + first * channels, channels, best);
      std::fill_n(winner, channels, static_cast<std::int32_t>(first));
      window.for_each([=](std::int64_t input) {
        const E* x = inputs + input * channels;
        const auto pixel = static_cast<std::int32_t>(input);
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
          const float value = to_float(x[c]);
          const bool wins = !(value <= best[c]) && best[c] == best[c];
          winner[c] = wins ? pixel : winner[c];
          best[c] = wins ? value : best[c];
        }
      });
    });
  }

  void backward(const BackwardArguments& arguments) const override {
    const std::int64_t channels = this->channels();
    const auto* gradients = static_cast<const E*>(arguments.output_gradient);
    const auto* winners = reinterpret_cast<const std::int32_t*>(arguments.saved);
    this->each_input(arguments, [=](std::int64_t input, std::int64_t output, float* sum) {
      const E* dy = gradients + output * channels;
      const std::int32_t* winner = winners + output * channels;
      const auto pixel = static_cast<std::int32_t>(input);
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) sum[c] += winner[c] == pixel ? to_float(dy[c]) : 0.0F;
    });
  }

 private:
  static void convert_row(const E* from, std::int64_t count, float* to) {
#pragma omp simd
    for (std::int64_t c = 0; c < count; ++c) to[c] = to_float(from[c]);
  }
};

template <class E>
class AveragePooling final : public PoolingKernel<E> {
 public:
  AveragePooling(const Pooling& p, std::int64_t samples) : PoolingKernel<E>(p, samples) {
    const Areas all{windows(p, p.in.height, p.out.height), windows(p, p.in.width, p.out.width), 0, 0};
    all.for_each(1, [&](std::int64_t, const Area& window) {
      shares_.push_back(1.0F / static_cast<float>(window.count()));
    });
  }

  void forward(const ForwardArguments& arguments) const override {
    const std::int64_t channels = this->channels();
    const auto* inputs = static_cast<const E*>(arguments.inputs[0]);
    this->each_output(arguments, [=, this](std::int64_t output, const Area& window, float* sum) {
      std::fill_n(sum, channels, 0.0F);
      window.for_each([=](std::int64_t input) {
        const E* x = inputs + input * channels;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) sum[c] += to_float(x[c]);
      });
      const float share = share_of(output);
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) sum[c] *= share;
    });
  }

  void backward(const BackwardArguments& arguments) const override {
    const std::int64_t channels = this->channels();
    const auto* gradients = static_cast<const E*>(arguments.output_gradient);
    this->each_input(arguments, [=, this](std::int64_t, std::int64_t output, float* sum) {
      const E* dy = gradients + output * channels;
      const float share = share_of(output);
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) sum[c] += to_float(dy[c]) * share;
    });
  }

 private:
  float share_of(std::int64_t output) const {
    return shares_[static_cast<std::size_t>(output) % shares_.size()];
  }

  std::vector<float> shares_;  // of one input in the mean, for each output pixel of a sample
};

}  // namespace

std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape) {
  if (pooling.padding >= pooling.window) throw std::logic_error("a pooling window that lies in the padding");
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    using E = decltype(element);
    if (pooling.kind == Pooling::Kind::max) return std::make_unique<MaxPooling<E>>(pooling, shape.samples);
    return std::make_unique<AveragePooling<E>>(pooling, shape.samples);
  });
}

}  // namespace lockstep
