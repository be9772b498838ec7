// Nothing depends on the order in which threads run, nor on how many there are.
#include <functional>

#include "layers/ops/cuda/launches/elementwise.h"
#include "layers/ops/cuda/launches/elementwise_kernels.h"
#include "layers/ops/cuda/launches/loss.h"
#include "layers/ops/cuda/launches/norm.h"
#include "layers/ops/cuda/launches/pooling_kernels.h"
#include "tests/unit/ops/harness.h"

namespace lockstep::test {
namespace {

struct OrderTest : ComputeTest {};

const std::vector<DeviceOnCpu> devices{
    {}, {{.backwards = true}}, {{.in_three_blocks = true}}, {{.backwards = true, .in_three_blocks = true}}};

std::vector<float> bytes_of(const std::vector<double>& values) {
  std::vector<float> bits(values.size() * 2);
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(double));
  return bits;
}

void expect_same_everywhere(const std::function<std::vector<Values>(const DeviceOnCpu&)>& results,
                            const std::string& what) {
  const std::vector<Values> expected = results(devices[0]);
  for (std::size_t i = 1; i < devices.size(); ++i) {
    EXPECT_TRUE(same_bits(results(devices[i]), expected)) << what << ", order " << i;
  }
}

TEST_F(OrderTest, NormGivesTheSameBits) {
  for (const auto& [rows, channels] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{3000, 3}, {700, 70}}) {
    const auto size = static_cast<std::size_t>(rows * channels);
    const Values x = random_values(size, "x");
    const Values residual = random_values(size, "residual");
    const Values constants = random_values(static_cast<std::size_t>(4 * channels), "constants");
    const cuda::norm::Constants affine{&constants[0], &constants[channels], &constants[2 * channels],
                                       &constants[3 * channels]};
    const auto run_passes = [&, rows = rows, channels = channels](const DeviceOnCpu& device) {
      const ThreadsOnCpu& runner = device.runner(0);
      const Buffer scratch(cuda::norm::scratch_bytes(rows, channels));
      std::vector<double> moments(2 * channels);
      std::vector<double> sums(2 * channels);
      Values y(size);
      Values dy = random_values(size, "dy");
      Values passed_on(size);
      Values dx(size);
      cuda::norm::moments(runner, x.data(), rows, channels, scratch.data(), moments.data());
      cuda::norm::normalize(runner, x.data(), residual.data(), true, affine, rows, channels, y.data());
      cuda::norm::backward_sums(runner, x.data(), y.data(), dy.data(), true, true, affine, rows, channels,
                                passed_on.data(), false, scratch.data(), sums.data());
      cuda::norm::backward_apply(runner, x.data(), dy.data(), false, affine,
                                 {sums.data(), sums.data() + channels, rows}, rows, channels, dx.data());
      return std::vector<Values>{bytes_of(moments), y, dy, passed_on, bytes_of(sums), dx};
    };
    expect_same_everywhere(run_passes, std::to_string(channels) + " channels");
  }
}

TEST_F(OrderTest, KernelsGiveTheSameBits) {
  const SampleShape in{13, 11, 37};
  constexpr std::int64_t samples = 3;
  using Make = std::function<std::unique_ptr<Kernel>(const DeviceOnCpu&, const KernelShape&)>;
  const auto check = [&](const Make& make, const SampleShape& out, const std::string& what) {
    Trial trial;
    trial.inputs = {random_values(samples * in.elements(), "x"),
                    random_values(samples * in.elements(), "other")};
    trial.output_gradient = random_values(samples * out.elements(), "dy");
    const auto results = [&](const DeviceOnCpu& device) {
      const Outcome outcome = run(*make(device, {.samples = samples}), trial);
      return std::vector<Values>{outcome.output, outcome.input_gradients[0]};
    };
    expect_same_everywhere(results, what);
  };
  check([&](const auto& device, const auto& shape) { return cuda::make_relu(device, in, shape); }, in,
        "relu");
  check([&](const auto& device, const auto& shape) { return cuda::make_add(device, in, shape); }, in, "add");
  check([&](const auto& device, const auto& shape) { return cuda::make_flatten(device, in, shape); }, in,
        "flatten");
  const Random random(1, "dropout");
  check([&](const auto& device,
            const auto& shape) { return cuda::make_dropout(device, in, 0.3F, random, shape); },
        in, "dropout");
  check([&](const auto& device,
            const auto& shape) { return cuda::make_global_average_pooling(device, in, shape); },
        {1, 1, in.channels}, "global average pooling");
  for (const auto kind : {Pooling::Kind::max, Pooling::Kind::average}) {
    const Pooling pooling{kind, in, {7, 6, in.channels}, 3, 2, 1};
    check([&](const auto& device, const auto& shape) { return cuda::make_pooling(device, pooling, shape); },
          pooling.out, "pooling");
  }
}

TEST_F(OrderTest, SumsAndLossesAreTheSameBits) {
  const Values values = random_values(5000, "values");
  const std::vector<std::int32_t> labels{3, 499, 0, 250, 7};
  const auto results = [&](const DeviceOnCpu& device) {
    const ThreadsOnCpu& runner = device.runner(0);
    const Buffer scratch(cuda::sum_of_squares_scratch_bytes(5000) + cuda::loss_scratch_bytes(5));
    std::vector<double> sums(3);
    cuda::LossOfSamples loss{};
    Values gradient(2500);
    cuda::sum_of_squares(runner, values.data(), 5000, scratch.data(), sums.data());
    cuda::softmax_cross_entropy(runner, {values.data(), labels.data(), 5, 500}, 0.1, 8, scratch.data(), &loss,
                                gradient.data());
    sums[1] = loss.loss;
    sums[2] = loss.correct;
    return std::vector<Values>{bytes_of(sums), gradient};
  };
  expect_same_everywhere(results, "sums");
}

}  // namespace
}  // namespace lockstep::test
