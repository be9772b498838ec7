#include "prelu.h"

#include <fmt/format.h>

#include <algorithm>

#include "comm/base/error.h"

namespace consumer {
namespace {

using namespace lockstep;

// One shard: rows (samples × pixels) of channels. Sums go down the rows in their order, a channel a lane, and
// then over a slope's channels: nothing depends on anything but the shard.
template <class E>
class PreluKernel final : public Kernel {
 public:
  PreluKernel(std::int64_t rows, std::int64_t channels, std::int64_t slopes)
      : rows_(rows), channels_(channels), shared_by_(channels / slopes), slopes_(slopes) {}

  std::size_t scratch_bytes() const override { return static_cast<std::size_t>(channels_) * sizeof(double); }

  void forward(const ForwardArguments& arguments) const override {
    const float* slope = arguments.parameters[0];
    for (std::int64_t row = 0; row < rows_; ++row) {
      const E* x = static_cast<const E*>(arguments.inputs[0]) + row * channels_;
      E* y = static_cast<E*>(arguments.output) + row * channels_;
      for (std::int64_t c = 0; c < channels_; ++c)
        y[c] = scaled(to_float(x[c]), slope[c / shared_by_], to_float(x[c]));
    }
  }

  void backward(const BackwardArguments& arguments) const override {
    const float* slope = arguments.parameters[0];
    auto* sums = reinterpret_cast<double*>(arguments.scratch);
    std::fill_n(sums, channels_, 0.0);
    for (std::int64_t row = 0; row < rows_; ++row) {
      const E* x = static_cast<const E*>(arguments.inputs[0]) + row * channels_;
      const E* dy = static_cast<const E*>(arguments.output_gradient) + row * channels_;
      for (std::int64_t c = 0; c < channels_; ++c) {
        const float value = to_float(x[c]);
        sums[c] += value > 0 ? 0.0 : static_cast<double>(to_float(dy[c])) * value;
      }
      if (arguments.input_gradients[0] == nullptr) continue;  // nothing before it learns
      E* dx = static_cast<E*>(arguments.input_gradients[0]) + row * channels_;
      for (std::int64_t c = 0; c < channels_; ++c)
        dx[c] = scaled(to_float(x[c]), slope[c / shared_by_], to_float(dy[c]));
    }
    for (std::int64_t s = 0; s < slopes_; ++s) {
      double sum = 0;
      for (std::int64_t c = s * shared_by_; c < (s + 1) * shared_by_; ++c) sum += sums[c];
      arguments.parameter_gradients[0][s] = static_cast<float>(sum);
    }
  }

 private:
  // What comes through where x went in.
  static E scaled(float x, float slope, float value) { return from_float<E>(x > 0 ? value : slope * value); }

  std::int64_t rows_, channels_, shared_by_, slopes_;
};

class Prelu final : public Layer {
 public:
  Prelu(const LayerPlace& place, const Attributes& attributes)
      : Layer(place.name, place.input, place.input), slopes_(attributes.whole("slopes")) {
    if (input().channels % slopes_ != 0) {
      throw UsageError(
          fmt::format("layer '{}' (prelu): {} slopes do not divide the {} channels of its input {}", name(),
                      slopes_, input().channels, to_string(input())));
    }
    // Weight decay would pull a slope to 0, which is ReLU; so it counts as a bias.
    declare_constant("weight", {slopes_}, Parameter::Role::bias, attributes.number("start"));
  }

  std::string_view type() const override { return "prelu"; }
  BackwardReads backward_reads() const override { return {.input = true, .output = false}; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
      using Typed = PreluKernel<decltype(element)>;
      return std::make_unique<Typed>(shape.samples * input().pixels(), input().channels, slopes_);
    });
  }

 private:
  std::int64_t slopes_;
};

}  // namespace

CustomLayer prelu() {
  return {.word = "prelu",
          .default_name = "prelu",
          .meaning = "negative values become smaller by a learned factor",
          .attributes = {{.name = "slopes",
                          .kind = WholeAttribute{.least = 1},
                          .meaning = "learned factors; channels share them evenly"},
                         {.name = "start",
                          .kind = NumberAttribute{.least = 0, .most = 1, .otherwise = 0.25},
                          .meaning = "what they start as"}},
          .make = [](const LayerPlace& place,
                     const Attributes& attributes) { return std::make_unique<Prelu>(place, attributes); },
          .knows_bf16 = true};
}

}  // namespace consumer
