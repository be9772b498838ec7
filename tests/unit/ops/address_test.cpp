#include "layers/ops/elementwise.h"

#include "layers/ops/kernels.h"
#include "layers/ops/norm.h"
#include "tests/unit/ops/at_offsets.h"

// Rule 3: no result depends on an address, the length of a slice, or where a tail begins.
namespace lockstep::test {
namespace {

struct AddressTest : ComputeTest {};

constexpr std::size_t odd_size = 3 * 1021;  // no multiple of any vector

TEST_F(AddressTest, OwnKernelsGiveTheSameBitsAtEveryOffset) {
  const SampleShape in{7, 7, 11};
  const std::size_t size = 3 * 7 * 7 * 11;
  const Random random(1, "dropout");
  const auto check = [&](const auto& make, std::size_t inputs, std::size_t output_size,
                         const std::string& what) {
    expect_same_at_offsets(make, trial_of(inputs, size, output_size), one, what);
  };
  check([&](const KernelShape& shape) { return tested::make_relu(in, shape); }, 1, size, "relu");
  check([&](const KernelShape& shape) { return tested::make_add(in, shape); }, 2, size, "add");
  check([&](const KernelShape& shape) { return tested::make_dropout(in, 0.4F, random, shape); }, 1, size,
        "dropout");
  check([&](const KernelShape& shape) { return tested::make_flatten(in, shape); }, 1, size, "flatten");
  check([&](const KernelShape& shape) { return tested::make_global_average_pooling(in, shape); }, 1,
        std::size_t{3} * 11, "global average pooling");
  for (const auto kind : {Pooling::Kind::max, Pooling::Kind::average}) {
    const auto make = [&](const KernelShape& shape) {
      return tested::make_pooling({kind, in, {4, 4, 11}, 3, 2, 1}, shape);
    };
    check(make, 1, std::size_t{3} * 4 * 4 * 11, "pooling");
  }
}

struct NormResult {
  std::vector<double> moments, sums, residual_sums;
  std::vector<Values> arrays;
};

template <class E>
NormResult norm_at(std::int64_t rows, std::int64_t channels, std::size_t offset) {
  const std::size_t size = rows * channels;
  const auto place = [&](std::size_t count, std::string_view name) {
    return PlacedAs<E>(random_values(count, name), offset);
  };
  const auto x = place(size, "x");
  const auto residual = place(size, "residual");
  const auto dy = place(size, "dy");
  const auto masked_dy = place(size, "dy");
  const Placed constants(random_values(4 * channels, "constants"), offset);
  const auto constant = [&](std::int64_t i) {
    return std::span<const float>(constants.data() + i * channels, static_cast<std::size_t>(channels));
  };
  const norm::Affine affine{constant(0), constant(1), constant(2), constant(3)};
  const PlacedAs<E> y(size, offset);
  const PlacedAs<E> fused(size, offset);
  const PlacedAs<E> residual_gradient(size, offset);
  const PlacedAs<E> dx(size, offset);
  const PlacedAs<E> frozen(size, offset);

  NormResult result;
  result.moments.resize(2 * channels);
  result.sums.resize(2 * channels);
  result.residual_sums.resize(2 * channels);
  tested::norm::moments(x.data(), rows, channels, result.moments.data());
  tested::norm::normalize(x.data(), nullptr, true, affine, rows, channels, y.data());
  tested::norm::normalize(x.data(), residual.data(), true, affine, rows, channels, fused.data());
  tested::norm::backward_sums(x.data(), nullptr, dy.data(), true, false, affine, rows, channels, nullptr,
                              false, result.sums.data());
  tested::norm::backward_sums(x.data(), fused.data(), masked_dy.data(), true, true, affine, rows, channels,
                              residual_gradient.data(), false, result.residual_sums.data());
  const std::span<const double> sums(result.sums);
  tested::norm::backward_apply(x.data(), dy.data(), true, affine,
                               {sums.first(channels), sums.last(channels), 2 * rows}, rows, channels,
                               dx.data());
  tested::norm::backward_frozen(x.data(), dy.data(), true, affine, rows, channels, frozen.data());
  for (const PlacedAs<E>* array : {&y, &fused, &masked_dy, &residual_gradient, &dx, &frozen}) {
    result.arrays.push_back(array->values());
  }
  return result;
}

template <class E>
void expect_same_norm_at_offsets() {
  for (const auto& [rows, channels] : {std::pair{531, 3}, {93, 16}, {35, 100}, {77, 1}}) {
    const NormResult expected = norm_at<E>(rows, channels, 0);
    for (std::size_t offset = 1; offset < offsets; ++offset) {
      const NormResult result = norm_at<E>(rows, channels, offset);
      EXPECT_EQ(result.moments, expected.moments) << channels << " channels at offset " << offset;
      EXPECT_EQ(result.sums, expected.sums) << channels << " channels at offset " << offset;
      EXPECT_EQ(result.residual_sums, expected.residual_sums) << channels << " channels at offset " << offset;
      EXPECT_TRUE(same_bits(result.arrays, expected.arrays)) << channels << " channels at offset " << offset;
    }
  }
}

TEST_F(AddressTest, NormGivesTheSameBitsAtEveryOffset) {
  expect_same_norm_at_offsets<float>();
  expect_same_norm_at_offsets<Bf16>();
}

// Sum and addend lie apart in different ways.
template <class E>
Values sum_at(std::size_t offset) {
  const PlacedAs<E> sum(random_values(odd_size, "sum"), offset);
  const PlacedAs<E> addend(random_values(odd_size, "addend"), (offset * 5) % offsets);
  tested::add_into({sum.data(), odd_size}, std::span<const E>(addend.data(), odd_size));
  return sum.values();
}

TEST_F(AddressTest, SumsOfGradientsGiveTheSameBitsAtEveryOffset) {
  for (std::size_t offset = 1; offset < offsets; ++offset) {
    EXPECT_TRUE(same_bits(sum_at<float>(offset), sum_at<float>(0))) << offset;
    EXPECT_TRUE(same_bits(sum_at<Bf16>(offset), sum_at<Bf16>(0))) << offset;
    EXPECT_TRUE(tested::all_finite({Placed(sum_at<float>(0), offset).data(), odd_size})) << offset;
  }
}

TEST_F(AddressTest, SumsOfSquaresGiveTheSameBitsAtEveryOffset) {
  for (const std::size_t size : {odd_size, std::size_t{4096}, std::size_t{9001}, std::size_t{7}}) {
    const Values values = random_values(size, "values");
    const double expected = tested::sum_of_squares(values);
    for (std::size_t offset = 1; offset < offsets; ++offset) {
      const Placed placed(values, offset);
      EXPECT_EQ(tested::sum_of_squares({placed.data(), size}), expected)
          << size << " values at offset " << offset;
    }
  }
}

TEST_F(AddressTest, ConversionsGiveTheSameBitsAtEveryOffset) {
  const Values values = random_values(odd_size, "values");
  for (std::size_t offset = 0; offset < offsets; ++offset) {
    const Placed from(values, (offset * 5) % offsets);
    const PlacedAs<Bf16> to(odd_size, offset);
    tested::convert(std::span<const float>(from.data(), odd_size), {to.data(), odd_size});
    EXPECT_TRUE(same_bits(to.values(), rounded<Bf16>(values))) << offset;
    tested::convert(std::span<const Bf16>(to.data(), odd_size), {from.data(), odd_size});
    EXPECT_TRUE(same_bits(from.values(), rounded<Bf16>(values))) << offset;
  }
}

template <class E>
void expect_same_wherever_it_is_cut() {
  constexpr std::int64_t channels = 3;
  constexpr auto rows = static_cast<std::int64_t>(odd_size) / channels;
  const PlacedAs<E> placed_x(random_values(odd_size, "x"), 0);
  const PlacedAs<E> placed_residual(random_values(odd_size, "residual"), 0);
  const E* x = placed_x.data();
  const E* residual = placed_residual.data();
  const Values constants = random_values(channels, "constants");
  const std::vector<double> totals{1.5, -0.25, 3};
  const norm::Affine affine{constants, constants, constants, constants};
  const norm::GroupSums sums{totals, totals, rows};
  // Each pass on rows [0, cut) and [cut, rows).
  const auto cut_at = [&](std::int64_t cut) {
    constexpr int passes = 5;
    std::vector<PlacedAs<E>> results;
    results.reserve(passes);
    for (int pass = 0; pass < passes; ++pass) results.emplace_back(placed_residual.values(), 0);
    const auto result = [&](std::size_t pass, std::int64_t at) { return results[pass].data() + at; };
    for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, cut}, {cut, rows}}) {
      const std::int64_t at = begin * channels;
      const std::int64_t count = end - begin;
      const auto length = static_cast<std::size_t>(count * channels);
      tested::norm::normalize(&x[at], &residual[at], true, affine, count, channels, result(0, at));
      tested::norm::normalize(&x[at], nullptr, false, affine, count, channels, result(1, at));
      tested::norm::backward_apply(&x[at], &residual[at], true, affine, sums, count, channels, result(2, at));
      tested::norm::backward_frozen(&x[at], &residual[at], true, affine, count, channels, result(3, at));
      tested::add_into({result(4, at), length}, std::span<const E>(&x[at], length));
    }
    std::vector<Values> values;
    values.reserve(passes);
    for (const PlacedAs<E>& placed : results) values.push_back(placed.values());
    return values;
  };
  const std::vector<Values> expected = cut_at(rows - 1);
  for (const std::int64_t cut : {1, 2, 7, 8, 21, 22, 64, 500, 1019}) {
    EXPECT_TRUE(same_bits(cut_at(cut), expected)) << cut;
  }
}

TEST_F(AddressTest, ElementwiseLoopsGiveTheSameBitsWhereverTheyAreCut) {
  expect_same_wherever_it_is_cut<float>();
  expect_same_wherever_it_is_cut<Bf16>();
}

}  // namespace
}  // namespace lockstep::test
