// Own kernels that read and write bf16. They compute in fp32 and round once, where they store: on numbers
// that bf16 has they give what the fp32 kernel gives, rounded, bit for bit.
#include <limits>

#include "layers/ops/elementwise.h"
#include "layers/ops/kernels.h"
#include "layers/ops/norm.h"
#include "tests/unit/ops/harness.h"

namespace lockstep::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

struct Bf16Test : ComputeTest {};

// make(shape) makes the kernel.
template <class Make>
void expect_rounded_fp32(const Make& make, std::int64_t samples, std::size_t inputs, std::size_t input_size,
                         std::size_t output_size, const std::string& what) {
  Trial trial;
  for (std::size_t i = 0; i < inputs; ++i) {
    trial.inputs.push_back(bf16_values(input_size, "input" + std::to_string(i)));
  }
  trial.output_gradient = bf16_values(output_size, "gradient");
  const auto exact = make({.samples = samples});
  const auto kernel = make({.samples = samples, .element = Element::bf16});
  Outcome expected = run(*exact, trial);
  expected.output = rounded<Bf16>(expected.output);
  for (Values& gradient : expected.input_gradients) gradient = rounded<Bf16>(gradient);
  EXPECT_TRUE(same_bits(run<Bf16>(*kernel, trial), expected)) << what;
}

TEST_F(Bf16Test, OwnKernelsComputeInFp32AndRoundOnce) {
  const SampleShape in{7, 7, 11};
  const std::size_t size = std::size_t{3} * 7 * 7 * 11;
  const Random random(1, "dropout");
  const auto same_size = [&](const auto& make, std::size_t inputs, const std::string& what) {
    expect_rounded_fp32(make, 3, inputs, size, size, what);
  };
  same_size([&](const KernelShape& shape) { return tested::make_relu(in, shape); }, 1, "relu");
  same_size([&](const KernelShape& shape) { return tested::make_add(in, shape); }, 2, "add");
  same_size([&](const KernelShape& shape) { return tested::make_dropout(in, 0.4F, random, shape); }, 1,
            "dropout");
  same_size([&](const KernelShape& shape) { return tested::make_flatten(in, shape); }, 1, "flatten");
  expect_rounded_fp32(
      [&](const KernelShape& shape) { return tested::make_global_average_pooling(in, shape); }, 3, 1, size,
      std::size_t{3} * 11, "global average pooling");
  for (const auto kind : {Pooling::Kind::max, Pooling::Kind::average}) {
    expect_rounded_fp32(
        [&](const KernelShape& shape) {
          return tested::make_pooling({kind, in, {4, 4, 11}, 3, 2, 1}, shape);
        },
        3, 1, size, std::size_t{3} * 4 * 4 * 11, "pooling");
  }
}

TEST_F(Bf16Test, MaxPoolingKeepsNaNAndTheFirstOfEquals) {
  const KernelShape shape{.samples = 1, .element = Element::bf16};
  const auto kernel = tested::make_pooling({Pooling::Kind::max, {2, 4, 1}, {1, 2, 1}, 2, 2, 0}, shape);
  const Outcome outcome = run<Bf16>(*kernel, {{{1, 3, 5, 5, 3, 3, nan, 5}}, {}, {10, 20}, {}});
  EXPECT_EQ(outcome.output[0], 3);
  EXPECT_TRUE(std::isnan(outcome.output[1]));
  EXPECT_EQ(outcome.input_gradients[0], (Values{0, 10, 0, 0, 0, 0, 20, 0}));
}

TEST_F(Bf16Test, AddsAndConverts) {
  const PlacedAs<Bf16> sum({1, 256, nan}, 0);
  tested::add_into(std::span(sum.data(), 3), std::span<const Bf16>(PlacedAs<Bf16>({2, 1, 1}, 0).data(), 3));
  EXPECT_EQ(sum.values()[0], 3);
  EXPECT_EQ(sum.values()[1], 256);  // 257 lies in the middle of two, 256 is even
  EXPECT_TRUE(std::isnan(sum.values()[2]));

  const Values values = random_values(1021, "values");
  const PlacedAs<Bf16> narrow(values.size(), 3);
  tested::convert(values, std::span(narrow.data(), values.size()));
  EXPECT_TRUE(same_bits(narrow.values(), rounded<Bf16>(values)));
  Values wide(values.size());
  tested::convert(std::span<const Bf16>(narrow.data(), values.size()), wide);
  EXPECT_TRUE(same_bits(wide, rounded<Bf16>(values)));
}

// All passes of a batch_norm over one shard, on the same numbers as E.
template <class E>
struct Passes {
  std::vector<double> moments, sums, residual_sums;
  Values y, joined, apart, masked_dy, residual_gradient, dx, frozen;

  Passes(std::int64_t rows, std::int64_t channels) : moments(2 * channels), sums(2 * channels) {
    residual_sums = sums;
    const std::size_t size = rows * channels;
    const auto place = [](const Values& values) { return PlacedAs<E>(values, 0); };
    const auto empty = [&] { return place(Values(size, nan)); };
    const PlacedAs<E> x = place(bf16_values(size, "x"));
    const PlacedAs<E> residual = place(bf16_values(size, "residual"));
    const PlacedAs<E> dy = place(bf16_values(size, "dy"));
    const Values constants = random_values(4 * channels, "constants");
    const auto constant = [&](std::int64_t i) {
      return std::span(constants).subspan(i * channels, static_cast<std::size_t>(channels));
    };
    const norm::Affine affine{constant(0), constant(1), constant(2), constant(3)};

    tested::norm::moments(x.data(), rows, channels, moments.data());
    const auto normalized = empty();
    tested::norm::normalize(x.data(), nullptr, true, affine, rows, channels, normalized.data());
    y = normalized.values();

    const auto together = empty();
    tested::norm::normalize(x.data(), residual.data(), true, affine, rows, channels, together.data());
    joined = together.values();
    const auto plain = empty();
    tested::norm::normalize(x.data(), nullptr, false, affine, rows, channels, plain.data());
    tested::add_into({plain.data(), size}, std::span<const E>(residual.data(), size));
    for (const float value : plain.values()) apart.push_back(value <= 0 ? 0 : value);

    tested::norm::backward_sums(x.data(), nullptr, dy.data(), true, false, affine, rows, channels, nullptr,
                                false, sums.data());
    const auto masked = place(dy.values());
    const auto passed_on = place(Values(size, 0.25F));
    tested::norm::backward_sums(x.data(), together.data(), masked.data(), true, true, affine, rows, channels,
                                passed_on.data(), true, residual_sums.data());
    masked_dy = masked.values();
    residual_gradient = passed_on.values();

    const std::span<const double> all(sums);
    const auto gradient = empty();
    tested::norm::backward_apply(x.data(), dy.data(), true, affine,
                                 {all.first(channels), all.last(channels), 2 * rows}, rows, channels,
                                 gradient.data());
    dx = gradient.values();
    tested::norm::backward_frozen(x.data(), dy.data(), true, affine, rows, channels, gradient.data());
    frozen = gradient.values();
  }
};

TEST_F(Bf16Test, NormComputesInFp32AndRoundsOnce) {
  for (const auto& [rows, channels] : {std::pair{531, 3}, {93, 16}, {35, 100}, {77, 1}}) {
    SCOPED_TRACE(channels);
    const Passes<float> exact(rows, channels);
    const Passes<Bf16> got(rows, channels);
    EXPECT_EQ(got.moments, exact.moments);
    EXPECT_EQ(got.sums, exact.sums);
    EXPECT_TRUE(same_bits(got.y, rounded<Bf16>(exact.y)));
    EXPECT_TRUE(same_bits(got.dx, rounded<Bf16>(exact.dx)));
    EXPECT_TRUE(same_bits(got.frozen, rounded<Bf16>(exact.frozen)));
    // Joined with a residual it rounds where an addition of its own would read what is stored.
    EXPECT_TRUE(same_bits(got.joined, got.apart));
    EXPECT_TRUE(same_bits(exact.joined, exact.apart));
    Values passed_on = got.masked_dy;
    for (float& value : passed_on) value = stored<Bf16>(value + 0.25F);
    EXPECT_TRUE(same_bits(got.residual_gradient, passed_on));
  }
}

// The ReLU of a number that is stored as 0 passes no gradient, whether its output is read or made again.
TEST_F(Bf16Test, ANormThatIsTooSmallToBeStoredPassesNoGradient) {
  const Values none{0};
  const Values one{1};
  for (const float shift : {0x1p-134F, 0x1p-133F}) {
    const Values shifts{shift};
    const norm::Affine affine{none, one, one, shifts};
    const PlacedAs<Bf16> x(none, 0);
    const PlacedAs<Bf16> dy(one, 0);
    std::vector<double> sums(2);
    tested::norm::backward_sums(x.data(), nullptr, dy.data(), true, false, affine, 1, 1, nullptr, false,
                                sums.data());
    EXPECT_EQ(sums[0], stored<Bf16>(shift) > 0 ? 1 : 0) << shift;
  }
}

}  // namespace
}  // namespace lockstep::test
