#include <functional>
#include <ostream>
#include <type_traits>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/harness.h"

// Convolution and linear layers that add and apply ReLU before they store, beside the same done apart.
namespace lockstep::test {
namespace {

struct EpilogueCase {
  const char* name;
  std::function<std::unique_ptr<Kernel>(const KernelShape&)> make;
  std::int64_t in, out, weights;  // of a sample, of the layer
  std::int64_t channels;          // of the output
  bool bias;
};

std::ostream& operator<<(std::ostream& out, const EpilogueCase& c) {
  return out << c.name;
}

EpilogueCase convolution(const char* name, const SampleShape& in, std::int64_t channels, std::int64_t kernel,
                         std::int64_t stride, std::int64_t groups, bool bias) {
  const std::int64_t padding = kernel / 2;
  const auto extent = [&](std::int64_t size) { return (size + 2 * padding - kernel) / stride + 1; };
  const SampleShape out{extent(in.height), extent(in.width), channels};
  const Convolution it{in, out, kernel, kernel, stride, padding, groups, bias};
  return {name,
          [it](const KernelShape& shape) { return make_convolution(it, shape); },
          in.elements(),
          out.elements(),
          channels * in.channels / groups * kernel * kernel,
          channels,
          bias};
}

EpilogueCase linear(const char* name, std::int64_t in, std::int64_t out, bool bias) {
  return {name,     [=](const KernelShape& shape) { return make_linear({in, out, bias}, shape); },
          in,       out,
          in * out, out,
          bias};
}

constexpr std::int64_t samples = 3;

class EpilogueTest : public testing::TestWithParam<EpilogueCase> {
 protected:
  EpilogueTest()
      : input_(random_values(static_cast<std::size_t>(samples * GetParam().in), "input")),
        residual_(random_values(static_cast<std::size_t>(samples * GetParam().out), "residual")),
        weight_(random_values(static_cast<std::size_t>(GetParam().weights), "weight")),
        bias_(random_values(static_cast<std::size_t>(GetParam().channels), "bias")) {
    prepare_compute_thread();
  }

  template <class E>
  Values forward(Epilogue epilogue, bool in_place) const {
    constexpr Element element = std::is_same_v<E, Bf16> ? Element::bf16 : Element::f32;
    const std::array<const float*, max_parameters> parameters{weight_.data(),
                                                              GetParam().bias ? bias_.data() : nullptr};
    const auto kernel =
        GetParam().make({.samples = samples, .training = false, .element = element, .epilogue = epilogue});
    const Buffer prepared(kernel->prepared_bytes(Pass::forward));
    kernel->prepare(Pass::forward, parameters, prepared.data());
    const PlacedAs<E> from(input_, 0);
    const PlacedAs<E> added(residual_, 0);
    const PlacedAs<E> to(Values(residual_.size(), std::nanf("")), 0);
    const Buffer scratch(kernel->scratch_bytes());
    ForwardArguments arguments;
    arguments.inputs = {from.data(), epilogue.residual ? added.data() : nullptr};
    arguments.output = in_place ? added.data() : to.data();
    arguments.parameters = parameters;
    arguments.scratch = scratch.data();
    kernel->forward(arguments);
    return in_place ? added.values() : to.values();
  }

  // What a layer, an add and a ReLU apart make.
  template <class E>
  Values apart(Epilogue epilogue) const {
    Values values = forward<E>({}, false);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (epilogue.residual) values[i] += stored<E>(residual_[i]);
      if (epilogue.relu && values[i] <= 0) values[i] = 0;
    }
    return values;
  }

  template <class E>
  void check(Epilogue epilogue, double tolerance) const {
    const Values expected = apart<E>(epilogue);
    float largest = 0;
    for (const float value : expected) {
      if (!std::isnan(value)) largest = std::max(largest, std::abs(value));
    }
    for (const bool in_place : {false, true}) {
      if (in_place && !epilogue.residual) continue;
      const Values output = forward<E>(epilogue, in_place);
      ASSERT_EQ(output.size(), expected.size());
      for (std::size_t i = 0; i < output.size(); ++i) {
        ASSERT_EQ(std::isnan(output[i]), std::isnan(expected[i])) << i;
        if (std::isnan(expected[i])) continue;
        ASSERT_NEAR(output[i], expected[i], tolerance * largest) << i;
      }
    }
  }

  void check_all() const {
    for (const Epilogue epilogue : {Epilogue{false, true}, Epilogue{true, false}, Epilogue{true, true}}) {
      SCOPED_TRACE(testing::Message() << "residual " << epilogue.residual << ", relu " << epilogue.relu);
      check<float>(epilogue, 1e-6);
      if (computes_in(Element::bf16)) check<Bf16>(epilogue, 1.0 / 64);
    }
  }

  Values input_, residual_, weight_, bias_;
};

TEST_P(EpilogueTest, IsTheAddAndTheReluBehindTheLayer) {
  check_all();
}

// The first and the last value, so that only some outputs see it.
TEST_P(EpilogueTest, KeepsNanOfTheInput) {
  input_.front() = std::nanf("");
  input_.back() = std::nanf("");
  check_all();
}

TEST_P(EpilogueTest, KeepsNanOfTheResidual) {
  residual_.front() = std::nanf("");
  residual_.back() = std::nanf("");
  check_all();
}

INSTANTIATE_TEST_SUITE_P(Variants, EpilogueTest,
                         testing::Values(convolution("images", {9, 9, 3}, 16, 7, 2, 1, true),
                                         convolution("three_by_three", {8, 8, 16}, 32, 3, 1, 1, true),
                                         convolution("without_bias", {8, 8, 16}, 16, 3, 1, 1, false),
                                         convolution("stride", {7, 7, 16}, 16, 3, 2, 1, true),
                                         convolution("one_by_one", {5, 5, 64}, 32, 1, 1, 1, true),
                                         convolution("one_by_one_stride", {6, 6, 64}, 64, 1, 2, 1, true),
                                         convolution("odd_channels", {4, 4, 5}, 11, 3, 1, 1, true),
                                         convolution("groups", {4, 4, 32}, 32, 3, 1, 2, true),
                                         convolution("odd_groups", {4, 4, 9}, 6, 3, 1, 3, true),
                                         convolution("depthwise", {5, 5, 16}, 16, 3, 1, 16, true),
                                         convolution("odd_depthwise", {5, 5, 7}, 7, 3, 2, 7, false),
                                         linear("linear", 65, 33, true),
                                         linear("linear_without_bias", 64, 16, false)),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace lockstep::test
