#include <algorithm>
#include <array>

#include "layers/ops/dropout.h"
#include "layers/ops/kernels.h"

namespace lockstep {
namespace {

template <class E>
class Dropout final : public Kernel {
 public:
  Dropout(std::int64_t elements, float probability, const Random& random, const KernelShape& shape)
      : elements_(elements),
        probability_(probability),
        random_(random),
        samples_(shape.samples),
        training_(shape.training) {}

  void forward(const ForwardArguments& arguments) const override {
    const auto* x = static_cast<const E*>(arguments.inputs[0]);
    auto* y = static_cast<E*>(arguments.output);
    if (training_) {
      apply(arguments.position, x, y);
    } else {
      std::copy_n(x, samples_ * elements_, y);
    }
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    apply(arguments.position, static_cast<const E*>(arguments.output_gradient),
          static_cast<E*>(arguments.input_gradients[0]));
  }

 private:
  void apply(const ShardPosition& position, const E* from, E* to) const {
    const float scale = dropout_scale(probability_);
    const std::int64_t draws = dropout_draws(elements_);
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      const std::int64_t first_draw = (position.first_sample + sample) * draws;
      for (std::int64_t i = 0; i < elements_; i += dropout_words) {
        const auto bits = random_.bits(static_cast<std::uint64_t>(position.step),
                                       static_cast<std::uint64_t>(first_draw + i / dropout_words));
        const std::int64_t count = std::min(dropout_words, elements_ - i);
        for (std::int64_t word = 0; word < count; ++word) {
          const std::int64_t index = sample * elements_ + i + word;
          to[index] = dropped_out(from[index], bits[static_cast<std::size_t>(word)], probability_, scale);
        }
      }
    }
  }

  std::int64_t elements_;  // of a sample
  float probability_;
  Random random_;
  std::int64_t samples_;
  bool training_;
};

}  // namespace

std::unique_ptr<Kernel> make_dropout(const SampleShape& in, float probability, const Random& random,
                                     const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<Dropout<decltype(element)>>(in.elements(), probability, random, shape);
  });
}

}  // namespace lockstep
