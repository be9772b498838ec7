// Weights of a convolution go to the layout that cuDNN reads, and their gradients come back.
#include <vector>

#include "layers/ops/cuda/launches/elementwise.h"
#include "tests/unit/ops/harness.h"

namespace lockstep::test {
namespace {

struct TransposeTest : ComputeTest {};

constexpr std::int64_t matrices = 5;
constexpr std::int64_t rows = 7;
constexpr std::int64_t columns = 9;

template <class To>
void expect_transposed() {
  const Values from = random_values(matrices * rows * columns, "x");
  std::vector<To> to(from.size());
  cuda::transpose(ThreadsOnCpu(), from.data(), matrices, rows, columns, to.data());
  for (std::int64_t matrix = 0; matrix < matrices; ++matrix) {
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) {
        ASSERT_EQ(to_float(to[(matrix * columns + column) * rows + row]),
                  stored<To>(from[(matrix * rows + row) * columns + column]));
      }
    }
  }
}

TEST_F(TransposeTest, SwapsRowsAndColumnsOfEachMatrix) {
  expect_transposed<float>();
}

TEST_F(TransposeTest, RoundsToTheNearest) {
  expect_transposed<Bf16>();
}

}  // namespace
}  // namespace lockstep::test
