#include <ostream>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/gradient_check.h"

namespace lockstep::test {
namespace {

struct LinearCase {
  std::int64_t in, out, samples;
  bool bias;
};

std::ostream& operator<<(std::ostream& out, const LinearCase& c) {
  return out << c.in << " to " << c.out << ", " << c.samples << " samples" << (c.bias ? ", bias" : "");
}

class LinearTest : public ComputeTest, public testing::WithParamInterface<LinearCase> {
 public:
  void SetUp() override {
    ComputeTest::SetUp();
    if (IsSkipped()) return;
    const auto [in, out, samples, bias] = GetParam();
    trial.inputs = {random_values(samples * in, "input")};
    trial.parameters = {random_values(out * in, "weight")};
    if (bias) trial.parameters.push_back(random_values(out, "bias"));
    trial.output_gradient = random_values(samples * out, "gradient");
    kernel = tested::make_linear({in, out, bias}, {samples, 1, true});
  }

  Trial trial;
  std::unique_ptr<Kernel> kernel;
};

TEST_P(LinearTest, ForwardIsTheDefinition) {
  const auto [in, out, samples, bias] = GetParam();
  const auto prepared = prepare(*kernel, trial);
  const Values output = run(*kernel, trial).output;
  for (std::int64_t n = 0; n < samples; ++n) {
    for (std::int64_t o = 0; o < out; ++o) {
      double expected = bias ? trial.parameters[1][o] : 0;
      for (std::int64_t i = 0; i < in; ++i) {
        expected += static_cast<double>(trial.inputs[0][n * in + i]) * trial.parameters[0][o * in + i];
      }
      ASSERT_NEAR(output[n * out + o], expected, 1e-5) << "sample " << n << ", output " << o;
    }
  }
}

TEST_P(LinearTest, BackwardIsTheGradient) {
  check_gradients(*kernel, trial, 0.5F);
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearTest,
                         testing::Values(LinearCase{1, 1, 1, true}, LinearCase{17, 10, 3, true},
                                         LinearCase{64, 10, 1, true}, LinearCase{33, 16, 8, false}));

}  // namespace
}  // namespace lockstep::test
