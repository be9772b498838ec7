#include "layers/ops/elementwise.h"
#include "layers/ops/kernels.h"
#include "layers/ops/norm.h"
#include "tests/unit/ops/harness.h"

// Rule 3: no result depends on an address, the length of a slice, or where a tail begins.
namespace lockstep::test {
namespace {

struct AddressTest : ComputeTest {};

constexpr std::size_t offsets = 16;         // of one float each
constexpr std::size_t cache_line = 16;      // floats
constexpr std::size_t odd_size = 3 * 1021;  // no multiple of any vector

Trial trial_of(std::size_t inputs, std::size_t input_size, std::size_t output_size,
               const std::vector<std::size_t>& parameter_sizes = {}) {
  Trial trial;
  for (std::size_t i = 0; i < inputs; ++i) {
    trial.inputs.push_back(random_values(input_size, "input" + std::to_string(i)));
  }
  for (const std::size_t size : parameter_sizes) trial.parameters.push_back(random_values(size, "parameter"));
  trial.output_gradient = random_values(output_size, "gradient");
  return trial;
}

void expect_same_at_offsets(Kernel& kernel, const Trial& trial, std::size_t step, const std::string& what) {
  prepare(kernel, trial);
  const Outcome expected = run(kernel, trial);
  for (std::size_t i = 1; i < offsets; ++i) {
    EXPECT_TRUE(same_bits(run(kernel, trial, i * step), expected)) << what << " at offset " << i * step;
  }
}

TEST_F(AddressTest, OwnKernelsGiveTheSameBitsAtEveryOffset) {
  const SampleShape in{7, 7, 11};
  const KernelShape shape{3, 1, true};
  const std::size_t size = 3 * 7 * 7 * 11;
  const Random random(1, "dropout");
  expect_same_at_offsets(*make_relu(in, shape), trial_of(1, size, size), 1, "relu");
  expect_same_at_offsets(*make_add(in, shape), trial_of(2, size, size), 1, "add");
  expect_same_at_offsets(*make_dropout(in, 0.4F, random, shape), trial_of(1, size, size), 1, "dropout");
  expect_same_at_offsets(*make_flatten(in, shape), trial_of(1, size, size), 1, "flatten");
  expect_same_at_offsets(*make_global_average_pooling(in, shape), trial_of(1, size, std::size_t{3} * 11), 1,
                         "global average pooling");
  for (const auto kind : {Pooling::Kind::max, Pooling::Kind::average}) {
    expect_same_at_offsets(*make_pooling({kind, in, {4, 4, 11}, 3, 2, 1}, shape),
                           trial_of(1, size, std::size_t{3} * 4 * 4 * 11), 1, "pooling");
  }
}

TEST_F(AddressTest, OneDnnKernelsGiveTheSameBitsOnEveryCacheLine) {
  const KernelShape shape{3, 1, true};
  const Trial image = trial_of(1, std::size_t{3} * 7 * 7 * 8, std::size_t{3} * 7 * 7 * 11, {11 * 8 * 9, 11});
  expect_same_at_offsets(*make_convolution({{7, 7, 8}, {7, 7, 11}, 3, 3, 1, 1, 1, true}, shape), image,
                         cache_line, "convolution");
  const Trial depthwise = trial_of(1, std::size_t{3} * 7 * 7 * 8, std::size_t{3} * 7 * 7 * 8, {8 * 9, 8});
  expect_same_at_offsets(*make_convolution({{7, 7, 8}, {7, 7, 8}, 3, 3, 1, 1, 8, true}, shape), depthwise,
                         cache_line, "depthwise convolution");
  const Trial vector = trial_of(1, std::size_t{3} * 67, std::size_t{3} * 10, {670, 10});
  expect_same_at_offsets(*make_linear({67, 10, true}, shape), vector, cache_line, "linear");
}

// Parameters and their gradients lie in arenas, wherever their neighbours end.
TEST_F(AddressTest, OneDnnKernelsTakeParametersAtEveryOffset) {
  const KernelShape shape{3, 1, true};
  const Trial image = trial_of(1, std::size_t{3} * 7 * 7 * 8, std::size_t{3} * 7 * 7 * 11, {11 * 8 * 9, 11});
  expect_same_at_offsets(*make_convolution({{7, 7, 8}, {7, 7, 11}, 3, 3, 1, 1, 1, true}, shape), image, 1,
                         "convolution");
  const Trial vector = trial_of(1, std::size_t{3} * 67, std::size_t{3} * 10, {670, 10});
  expect_same_at_offsets(*make_linear({67, 10, true}, shape), vector, 1, "linear");
}

struct NormResult {
  std::vector<double> moments, sums, residual_sums;
  std::vector<Values> arrays;
};

NormResult norm_at(std::int64_t rows, std::int64_t channels, std::size_t offset) {
  const std::size_t size = rows * channels;
  const auto place = [&](std::size_t count, std::string_view name) {
    return Placed(random_values(count, name), offset);
  };
  const Placed x = place(size, "x");
  const Placed residual = place(size, "residual");
  const Placed dy = place(size, "dy");
  const Placed masked_dy = place(size, "dy");
  const Placed constants = place(4 * channels, "constants");
  const auto constant = [&](std::int64_t i) {
    return std::span<const float>(constants.data() + i * channels, static_cast<std::size_t>(channels));
  };
  const norm::Affine affine{constant(0), constant(1), constant(2), constant(3)};
  const Placed y(size, offset);
  const Placed fused(size, offset);
  const Placed residual_gradient(size, offset);
  const Placed dx(size, offset);
  const Placed frozen(size, offset);

  NormResult result;
  result.moments.resize(2 * channels);
  result.sums.resize(2 * channels);
  result.residual_sums.resize(2 * channels);
  norm::moments(x.data(), rows, channels, result.moments.data());
  norm::normalize(x.data(), nullptr, true, affine, rows, channels, y.data());
  norm::normalize(x.data(), residual.data(), true, affine, rows, channels, fused.data());
  norm::backward_sums(x.data(), nullptr, dy.data(), true, false, affine, rows, channels, nullptr, false,
                      result.sums.data());
  norm::backward_sums(x.data(), fused.data(), masked_dy.data(), true, true, affine, rows, channels,
                      residual_gradient.data(), false, result.residual_sums.data());
  const std::span<const double> sums(result.sums);
  norm::backward_apply(x.data(), dy.data(), true, affine,
                       {sums.first(channels), sums.last(channels), 2 * rows}, rows, channels, dx.data());
  norm::backward_frozen(x.data(), dy.data(), true, affine, rows, channels, frozen.data());
  for (const Placed* array : {&y, &fused, &masked_dy, &residual_gradient, &dx, &frozen}) {
    result.arrays.push_back(array->values());
  }
  return result;
}

TEST_F(AddressTest, NormGivesTheSameBitsAtEveryOffset) {
  for (const auto& [rows, channels] : {std::pair{531, 3}, {93, 16}, {35, 100}, {77, 1}}) {
    const NormResult expected = norm_at(rows, channels, 0);
    for (std::size_t offset = 1; offset < offsets; ++offset) {
      const NormResult result = norm_at(rows, channels, offset);
      EXPECT_EQ(result.moments, expected.moments) << channels << " channels at offset " << offset;
      EXPECT_EQ(result.sums, expected.sums) << channels << " channels at offset " << offset;
      EXPECT_EQ(result.residual_sums, expected.residual_sums) << channels << " channels at offset " << offset;
      EXPECT_TRUE(same_bits(result.arrays, expected.arrays)) << channels << " channels at offset " << offset;
    }
  }
}

TEST_F(AddressTest, SumsOfGradientsGiveTheSameBitsAtEveryOffset) {
  const Values addend = random_values(odd_size, "addend");
  Values expected = random_values(odd_size, "sum");
  add_into(expected, addend);
  for (std::size_t offset = 0; offset < offsets; ++offset) {
    const Placed sum(random_values(odd_size, "sum"), offset);
    const Placed placed_addend(addend, (offset * 5) % offsets);
    add_into({sum.data(), odd_size}, {placed_addend.data(), odd_size});
    EXPECT_TRUE(same_bits(sum.values(), expected)) << offset;
    EXPECT_TRUE(all_finite({sum.data(), odd_size})) << offset;
  }
}

TEST_F(AddressTest, SumsOfSquaresGiveTheSameBitsAtEveryOffset) {
  for (const std::size_t size : {odd_size, std::size_t{4096}, std::size_t{9001}, std::size_t{7}}) {
    const Values values = random_values(size, "values");
    const double expected = sum_of_squares(values);
    for (std::size_t offset = 1; offset < offsets; ++offset) {
      const Placed placed(values, offset);
      EXPECT_EQ(sum_of_squares({placed.data(), size}), expected) << size << " values at offset " << offset;
    }
  }
}

TEST_F(AddressTest, ElementwiseLoopsGiveTheSameBitsWhereverTheyAreCut) {
  constexpr std::int64_t channels = 3;
  constexpr auto rows = static_cast<std::int64_t>(odd_size) / channels;
  const Values x = random_values(odd_size, "x");
  const Values residual = random_values(odd_size, "residual");
  const Values constants = random_values(channels, "constants");
  const std::vector<double> totals{1.5, -0.25, 3};
  const norm::Affine affine{constants, constants, constants, constants};
  const norm::GroupSums sums{totals, totals, rows};
  // Each pass on rows [0, cut) and [cut, rows).
  const auto cut_at = [&](std::int64_t cut) {
    std::vector<Values> results(5, Values(odd_size));
    results[4] = residual;
    for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, cut}, {cut, rows}}) {
      const std::int64_t at = begin * channels;
      const std::int64_t count = end - begin;
      const auto length = static_cast<std::size_t>(count * channels);
      norm::normalize(&x[at], &residual[at], true, affine, count, channels, &results[0][at]);
      norm::normalize(&x[at], nullptr, false, affine, count, channels, &results[1][at]);
      norm::backward_apply(&x[at], &residual[at], true, affine, sums, count, channels, &results[2][at]);
      norm::backward_frozen(&x[at], &residual[at], true, affine, count, channels, &results[3][at]);
      add_into({&results[4][at], length}, {&x[at], length});
    }
    return results;
  };
  const std::vector<Values> expected = cut_at(rows - 1);
  for (const std::int64_t cut : {1, 2, 7, 8, 21, 22, 64, 500, 1019}) {
    EXPECT_TRUE(same_bits(cut_at(cut), expected)) << cut;
  }
}

}  // namespace
}  // namespace lockstep::test
