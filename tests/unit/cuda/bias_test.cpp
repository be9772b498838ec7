#include "layers/ops/cuda/launches/elementwise.h"
#include "tests/unit/ops/harness.h"

namespace lockstep::test {
namespace {

struct BiasTest : ComputeTest {};

constexpr std::int64_t rows = 301;
constexpr std::int64_t columns = 37;

TEST_F(BiasTest, IsRoundedOnceWithWhatItIsAddedTo) {
  const Values x = random_values(rows * columns, "x");
  const Values bias = random_values(columns, "bias");
  std::vector<Bf16> y(x.size());
  cuda::add_bias(ThreadsOnCpu(), bias.data(), rows, columns, x.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(to_float(y[i]), stored<Bf16>(x[i] + bias[i % columns])) << i;
  }
}

TEST_F(BiasTest, IsAddedInPlace) {
  const Values x = random_values(rows * columns, "x");
  const Values bias = random_values(columns, "bias");
  Values y = x;
  cuda::add_bias(ThreadsOnCpu(), bias.data(), rows, columns, y.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], x[i] + bias[i % columns]) << i;
}

}  // namespace
}  // namespace lockstep::test
