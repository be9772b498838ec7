#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

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

// Of a shard's output gradients, of which no product of a library is made.
template <class E>
void expect_sums_of_columns(std::int64_t row_count, std::int64_t width) {
  const PlacedAs<E> dy(random_values(row_count * width, "dy"), 0);
  std::vector<double> expected(width);
  double largest = 0;
  for (std::int64_t i = 0; i < row_count * width; ++i) expected[i % width] += to_float(dy.data()[i]);
  for (const double sum : expected) largest = std::max(largest, std::abs(sum));
  Values first;
  for (const ThreadsOnCpu& threads : {ThreadsOnCpu{}, ThreadsOnCpu{.backwards = true}}) {
    const Buffer scratch(cuda::sum_rows_scratch_bytes(row_count, width));
    Values sums(width, std::nanf(""));
    cuda::sum_rows(threads, static_cast<const E*>(dy.data()), row_count, width, scratch.data(), sums.data());
    for (std::int64_t c = 0; c < width; ++c) ASSERT_NEAR(sums[c], expected[c], 1e-6 * largest) << c;
    if (first.empty()) first = sums;
    EXPECT_TRUE(same_bits(sums, first)) << "in another order of threads";
  }
}

TEST_F(BiasTest, HasTheSumOfAColumnAsItsGradient) {
  for (const auto& [row_count, width] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 1}, {5, 10}, {301, 37}, {4096, 64}, {64, 1000}}) {
    SCOPED_TRACE(std::to_string(row_count) + "x" + std::to_string(width));
    expect_sums_of_columns<float>(row_count, width);
    expect_sums_of_columns<Bf16>(row_count, width);
  }
}

}  // namespace
}  // namespace lockstep::test
