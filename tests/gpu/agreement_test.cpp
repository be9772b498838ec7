// cuDNN and cuBLAS give on a GPU what oneDNN gives on the processor.
#include "tests/unit/ops/agreement.h"

#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "comm/base/error.h"
#include "layers/ops/gpu.h"
#include "layers/ops/kernels.h"

namespace lockstep::test {
namespace {

struct LibraryAgreementTest : ComputeTest {};

constexpr KernelShape shape{.samples = agreement_samples};

void expect_agreement(const Convolution& c) {
  const std::int64_t weights = c.out.channels * c.in.channels / c.groups * c.kernel_height * c.kernel_width;
  std::vector<std::int64_t> parameters{weights};
  if (c.bias) parameters.push_back(c.out.channels);
  expect_agreement("convolution of " + to_string(c.in) + " to " + to_string(c.out),
                   *tested::make_convolution(c, shape), *make_convolution(c, shape),
                   trial_of(c.in, c.out, parameters));
}

TEST_F(LibraryAgreementTest, OfConvolutionsInResNets) {
  const std::vector<Convolution> all{
      {{32, 32, 3}, {32, 32, 16}, 3, 3, 1, 1, 1, false},  {{32, 32, 16}, {16, 16, 32}, 3, 3, 2, 1, 1, false},
      {{32, 32, 16}, {16, 16, 32}, 1, 1, 2, 0, 1, false}, {{16, 16, 32}, {16, 16, 64}, 1, 1, 1, 0, 1, false},
      {{7, 7, 512}, {7, 7, 512}, 3, 3, 1, 1, 1, false},   {{7, 7, 512}, {7, 7, 2048}, 1, 1, 1, 0, 1, false},
      {{28, 28, 3}, {14, 14, 64}, 7, 7, 2, 3, 1, true}};
  for (const Convolution& convolution : all) expect_agreement(convolution);
}

TEST_F(LibraryAgreementTest, OfConvolutionsThatUsersWrite) {
  const std::vector<Convolution> all{{{28, 28, 1}, {28, 28, 16}, 3, 3, 1, 1, 1, false},
                                     {{9, 7, 5}, {5, 4, 6}, 3, 3, 2, 1, 1, true},
                                     {{9, 7, 6}, {9, 7, 12}, 3, 3, 1, 1, 3, true},
                                     {{8, 8, 16}, {8, 8, 16}, 3, 3, 1, 1, 16, false},
                                     {{12, 12, 4}, {8, 8, 4}, 5, 5, 1, 0, 1, true}};
  for (const Convolution& convolution : all) expect_agreement(convolution);
}

TEST_F(LibraryAgreementTest, OfLinearLayers) {
  for (const auto& [in, out, bias] : std::vector<std::tuple<std::int64_t, std::int64_t, bool>>{
           {784, 128, true}, {1568, 128, false}, {2048, 1000, true}, {5, 3, true}, {1, 1, false}}) {
    const Linear linear{.in = in, .out = out, .bias = bias};
    std::vector<std::int64_t> parameters{in * out};
    if (bias) parameters.push_back(out);
    lockstep::test::expect_agreement("linear of " + std::to_string(in) + " to " + std::to_string(out),
                                     *tested::make_linear(linear, shape), *make_linear(linear, shape),
                                     trial_of({1, 1, in}, {1, 1, out}, parameters));
  }
}

// Which needs no GPU.
TEST(OpenGpu, RefusesToBeToldUnseenHowToMultiply) {
  ::setenv("NVIDIA_TF32_OVERRIDE", "1", 1);
  try {
    (void)open_gpu({.index = 0});
    ADD_FAILURE() << "it is opened";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("NVIDIA_TF32_OVERRIDE"), std::string::npos) << error.what();
  }
  ::unsetenv("NVIDIA_TF32_OVERRIDE");
}

}  // namespace
}  // namespace lockstep::test
