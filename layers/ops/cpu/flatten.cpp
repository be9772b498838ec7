#include "layers/ops/kernels.h"

namespace lockstep {
namespace {

template <class E>
class Flatten final : public Kernel {
 public:
  Flatten(const SampleShape& in, std::int64_t samples) : in_(in), samples_(samples) {}

  void forward(const ForwardArguments& arguments) const override {
    transpose(static_cast<const E*>(arguments.inputs[0]), in_.pixels(), in_.channels,
              static_cast<E*>(arguments.output));
  }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] == nullptr) return;
    transpose(static_cast<const E*>(arguments.output_gradient), in_.channels, in_.pixels(),
              static_cast<E*>(arguments.input_gradients[0]));
  }

 private:
  // Each sample's [rows, columns] to [columns, rows].
  void transpose(const E* from, std::int64_t rows, std::int64_t columns, E* to) const {
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      for (std::int64_t column = 0; column < columns; ++column) {
        for (std::int64_t row = 0; row < rows; ++row) to[column * rows + row] = from[row * columns + column];
      }
      from += rows * columns;
      to += rows * columns;
    }
  }

  SampleShape in_;
  std::int64_t samples_;
};

}  // namespace

std::unique_ptr<Kernel> make_flatten(const SampleShape& in, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<Flatten<decltype(element)>>(in, shape.samples);
  });
}

}  // namespace lockstep
