#include "layers/ops/norm.h"

#include <limits>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/gradient_check.h"

namespace lockstep::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

struct NormTest : ComputeTest {};

struct Statistics {
  std::vector<double> mean, m2;
};

Statistics moments_of(const Values& x, std::int64_t channels) {
  const auto rows = static_cast<std::int64_t>(x.size()) / channels;
  std::vector<double> moments(2 * channels, nan);
  tested::norm::moments(x.data(), rows, channels, moments.data());
  return {{moments.begin(), moments.begin() + channels}, {moments.begin() + channels, moments.end()}};
}

// Two passes in fp64.
Statistics reference_moments(const Values& x, std::int64_t channels) {
  const std::int64_t rows = static_cast<std::int64_t>(x.size()) / channels;
  Statistics statistics{std::vector<double>(channels), std::vector<double>(channels)};
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) statistics.mean[c] += x[r * channels + c];
    statistics.mean[c] /= static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const double deviation = x[r * channels + c] - statistics.mean[c];
      statistics.m2[c] += deviation * deviation;
    }
  }
  return statistics;
}

void expect_right_moments(const Values& x, std::int64_t channels) {
  const auto rows = static_cast<double>(x.size()) / static_cast<double>(channels);
  const Statistics got = moments_of(x, channels);
  const Statistics right = reference_moments(x, channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double deviation = std::sqrt(right.m2[c] / rows);
    ASSERT_NEAR(got.mean[c], right.mean[c], 1e-6 * deviation + 1e-12) << "channel " << c;
    ASSERT_NEAR(got.m2[c], right.m2[c], 1e-5 * right.m2[c]) << "channel " << c;
  }
}

TEST_F(NormTest, MomentsAreRightForAllShapesAndForMeansFarFromZero) {
  for (const std::int64_t channels : {1, 3, 10, 16, 64, 100}) {
    for (const std::int64_t rows : {1, 2, 7, 8, 9, 65, 517, 1031}) {
      for (const float mean : {0.0F, -3.0F, 1e4F}) {
        SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(channels) + " at " + std::to_string(mean));
        Values x = random_values(rows * channels, "x");
        for (float& value : x) value += mean;
        expect_right_moments(x, channels);
      }
    }
  }
}

TEST_F(NormTest, MomentsBearAFirstRowThatLiesFarFromAllOthers) {
  Values x = random_values(4096 * 16, "x");
  for (std::int64_t c = 0; c < 16; ++c) x[c] = 1e3F;
  expect_right_moments(x, 16);
}

TEST_F(NormTest, AConstantChannelHasNoVarianceAtAll) {
  for (const float value : {0.0F, 0.1F, -1234.567F, 1e30F}) {
    for (const std::int64_t rows : {1, 5, 64, 1031}) {
      const Statistics statistics = moments_of(Values(rows * 3, value), 3);
      EXPECT_EQ(statistics.mean, std::vector<double>(3, value));
      EXPECT_EQ(statistics.m2, std::vector<double>(3, 0.0));
    }
  }
}

TEST_F(NormTest, NaNReachesTheMomentsOfItsChannelAlone) {
  for (const std::int64_t row : {0, 100, 516}) {
    Values x = random_values(517 * 3, "x");
    x[row * 3 + 1] = nan;
    const Statistics statistics = moments_of(x, 3);
    EXPECT_TRUE(std::isnan(statistics.mean[1]) && std::isnan(statistics.m2[1])) << row;
    EXPECT_FALSE(std::isnan(statistics.m2[0]) || std::isnan(statistics.m2[2])) << row;
  }
}

// One batch_norm over one shard, all passes.
struct Norm {
  std::int64_t rows, channels;
  Values gamma, beta;
  Values mean, inverse_deviation, scale;  // of the last `measure`

  Norm(std::int64_t row_count, std::int64_t channel_count)
      : rows(row_count),
        channels(channel_count),
        gamma(random_values(channels, "gamma")),
        beta(random_values(channels, "beta")) {}

  void measure(const Values& x) {
    const Statistics statistics = moments_of(x, channels);
    mean.clear();
    inverse_deviation.clear();
    scale.clear();
    for (std::int64_t c = 0; c < channels; ++c) {
      mean.push_back(static_cast<float>(statistics.mean[c]));
      const double variance = statistics.m2[c] / static_cast<double>(rows);
      const double inverse = 1 / std::sqrt(variance + 1e-5);
      inverse_deviation.push_back(static_cast<float>(inverse));
      scale.push_back(static_cast<float>(gamma[c] * inverse));
    }
  }

  norm::Affine affine() const { return {mean, inverse_deviation, scale, beta}; }

  Values normalize(const Values& x, const Values& residual, bool relu) const {
    Values y(x.size(), nan);
    tested::norm::normalize(x.data(), residual.empty() ? nullptr : residual.data(), relu, affine(), rows,
                            channels, y.data());
    return y;
  }

  struct Sums {
    std::vector<double> sums;
    Values dy;                 // as it was left
    Values residual_gradient;  // empty without a residual
  };
  // y: empty without a residual.
  Sums backward_sums(const Values& x, const Values& y, const Values& dy, bool relu,
                     bool accumulate = false) const {
    Sums result{std::vector<double>(2 * channels, nan), dy, Values(y.size(), accumulate ? 1.0F : nan)};
    tested::norm::backward_sums(
        x.data(), y.empty() ? nullptr : y.data(), result.dy.data(), relu, !y.empty(), affine(), rows,
        channels, y.empty() ? nullptr : result.residual_gradient.data(), accumulate, result.sums.data());
    return result;
  }

  Values backward_apply(const Values& x, const Values& dy, bool masked,
                        const std::vector<double>& sums) const {
    Values dx(x.size(), nan);
    const std::span<const double> all(sums);
    tested::norm::backward_apply(x.data(), dy.data(), masked, affine(),
                                 {all.first(channels), all.last(channels), rows}, rows, channels, dx.data());
    return dx;
  }
};

struct NormShape {
  std::int64_t rows, channels;
};
const std::vector<NormShape> shapes{{1, 5}, {37, 1}, {530, 3}, {41, 10}, {67, 16}, {9, 64}, {21, 100}};

Values relu_of(const Values& x) {
  const auto kernel = tested::make_relu({1, 1, static_cast<std::int64_t>(x.size())}, {1, 1, true});
  return run(*kernel, {{x}, {}, Values(x.size()), {}}).output;
}

// dy behind a ReLU with input z, by its kernel.
Values relu_gradient_of(const Values& z, const Values& dy) {
  const auto kernel = tested::make_relu({1, 1, static_cast<std::int64_t>(z.size())}, {1, 1, true});
  return run(*kernel, {{z}, {}, dy, {}}).input_gradients[0];
}

Values sum_of(const Values& a, const Values& b) {
  const auto kernel = tested::make_add({1, 1, static_cast<std::int64_t>(a.size())}, {1, 1, true});
  return run(*kernel, {{a, b}, {}, Values(a.size()), {}}).output;
}

TEST_F(NormTest, NormalizeIsTheDefinition) {
  for (const auto& [rows, channels] : shapes) {
    const Values x = random_values(rows * channels, "x");
    const Values residual = random_values(rows * channels, "residual");
    Norm n(rows, channels);
    n.measure(x);
    const Values plain = n.normalize(x, {}, false);
    const Values all = n.normalize(x, residual, true);
    for (std::int64_t i = 0; i < rows * channels; ++i) {
      const std::int64_t c = i % channels;
      const double xhat = (static_cast<double>(x[i]) - n.mean[c]) * n.inverse_deviation[c];
      const double y = xhat * n.gamma[c] + n.beta[c];
      ASSERT_NEAR(plain[i], y, 2e-6) << rows << "x" << channels << " at " << i;
      ASSERT_NEAR(all[i], std::max(0.0, y + residual[i]), 2e-6) << rows << "x" << channels << " at " << i;
    }
  }
}

TEST_F(NormTest, FusedForwardIsTheSameBitsAsPassAfterPass) {
  for (const auto& [rows, channels] : shapes) {
    Values x = random_values(rows * channels, "x");
    const Values residual = random_values(rows * channels, "residual");
    Norm n(rows, channels);
    n.measure(x);
    x.back() = nan;
    const Values plain = n.normalize(x, {}, false);
    EXPECT_TRUE(same_bits(n.normalize(x, {}, true), relu_of(plain))) << channels;
    EXPECT_TRUE(same_bits(n.normalize(x, residual, false), sum_of(plain, residual))) << channels;
    EXPECT_TRUE(same_bits(n.normalize(x, residual, true), relu_of(sum_of(plain, residual)))) << channels;
  }
}

TEST_F(NormTest, NormalizeMayWorkInPlace) {
  const Values x = random_values(41 * 10, "x");
  Norm n(41, 10);
  n.measure(x);
  Values y = x;
  tested::norm::normalize(y.data(), nullptr, true, n.affine(), 41, 10, y.data());
  EXPECT_TRUE(same_bits(y, n.normalize(x, {}, true)));
}

TEST_F(NormTest, BackwardSumsAreTheDefinition) {
  for (const auto& [rows, channels] : shapes) {
    const Values x = random_values(rows * channels, "x");
    const Values dy = random_values(rows * channels, "dy");
    Norm n(rows, channels);
    n.measure(x);
    const Values y = n.normalize(x, {}, true);
    const std::vector<double> sums = n.backward_sums(x, {}, dy, true).sums;
    for (std::int64_t c = 0; c < channels; ++c) {
      double dz_sum = 0;
      double product_sum = 0;
      for (std::int64_t i = c; i < rows * channels; i += channels) {
        const double dz = y[i] > 0 ? dy[i] : 0;
        dz_sum += dz;
        product_sum += dz * (static_cast<double>(x[i]) - n.mean[c]) * n.inverse_deviation[c];
      }
      ASSERT_NEAR(sums[c], dz_sum, 1e-5) << rows << "x" << channels;
      ASSERT_NEAR(sums[channels + c], product_sum, 1e-5 * n.inverse_deviation[c]) << rows << "x" << channels;
    }
  }
}

TEST_F(NormTest, BackwardBehindItsOwnReluIsTheSameBitsAsPassAfterPass) {
  for (const auto& [rows, channels] : shapes) {
    const Values x = random_values(rows * channels, "x");
    const Values dy = random_values(rows * channels, "dy");
    Norm n(rows, channels);
    n.measure(x);
    const Values masked = relu_gradient_of(n.normalize(x, {}, false), dy);
    const auto fused = n.backward_sums(x, {}, dy, true);
    const auto apart = n.backward_sums(x, {}, masked, false);
    EXPECT_EQ(fused.sums, apart.sums) << channels;
    EXPECT_TRUE(same_bits(fused.dy, dy)) << channels;
    EXPECT_TRUE(
        same_bits(n.backward_apply(x, dy, true, fused.sums), n.backward_apply(x, masked, false, apart.sums)))
        << channels;

    Values frozen(dy.size());
    Values frozen_apart(dy.size());
    tested::norm::backward_frozen(x.data(), dy.data(), true, n.affine(), rows, channels, frozen.data());
    tested::norm::backward_frozen(x.data(), masked.data(), false, n.affine(), rows, channels,
                                  frozen_apart.data());
    EXPECT_TRUE(same_bits(frozen, frozen_apart)) << channels;
  }
}

TEST_F(NormTest, BackwardBehindAResidualIsTheSameBitsAsPassAfterPass) {
  for (const auto& [rows, channels] : shapes) {
    const Values x = random_values(rows * channels, "x");
    const Values dy = random_values(rows * channels, "dy");
    const Values residual = random_values(rows * channels, "residual");
    Norm n(rows, channels);
    n.measure(x);
    const Values y = n.normalize(x, residual, true);
    const Values masked = relu_gradient_of(n.normalize(x, residual, false), dy);
    const auto apart = n.backward_sums(x, {}, masked, false);

    const auto fused = n.backward_sums(x, y, dy, true);
    EXPECT_EQ(fused.sums, apart.sums) << channels;
    EXPECT_TRUE(same_bits(fused.dy, masked)) << channels;
    EXPECT_TRUE(same_bits(fused.residual_gradient, masked)) << channels;

    const auto added = n.backward_sums(x, y, dy, true, true);
    EXPECT_EQ(added.sums, apart.sums) << channels;
    EXPECT_TRUE(same_bits(added.residual_gradient, sum_of(masked, Values(dy.size(), 1.0F)))) << channels;

    const auto without_relu = n.backward_sums(x, y, dy, false);
    EXPECT_EQ(without_relu.sums, n.backward_sums(x, {}, dy, false).sums) << channels;
    EXPECT_TRUE(same_bits(without_relu.residual_gradient, dy)) << channels;
  }
}

TEST_F(NormTest, BackwardMayWorkInPlace) {
  const Values x = random_values(41 * 10, "x");
  const Values dy = random_values(41 * 10, "dy");
  Norm n(41, 10);
  n.measure(x);
  const std::vector<double> sums = n.backward_sums(x, {}, dy, true).sums;
  Values dx = dy;
  const std::span<const double> all(sums);
  tested::norm::backward_apply(x.data(), dx.data(), true, n.affine(), {all.first(10), all.last(10), 41}, 41,
                               10, dx.data());
  EXPECT_TRUE(same_bits(dx, n.backward_apply(x, dy, true, sums)));
}

// Through mean and variance, which are functions of x.
TEST_F(NormTest, BackwardIsTheGradient) {
  for (const auto& [rows, channels] : std::vector<NormShape>{{37, 1}, {26, 3}, {11, 10}, {9, 16}}) {
    for (const bool with_residual : {false, true}) {
      SCOPED_TRACE(std::to_string(channels) + (with_residual ? " with a residual" : ""));
      Values x = distinct_values(rows * channels, 1.0F / 16, "x");
      Values residual = with_residual ? random_values(rows * channels, "residual") : Values{};
      const Values dy = random_values(rows * channels, "dy");
      Norm n(rows, channels);
      n.measure(x);
      const Values y = n.normalize(x, residual, true);
      const auto fused = n.backward_sums(x, with_residual ? y : Values{}, dy, true);
      const Values dx = n.backward_apply(x, fused.dy, !with_residual, fused.sums);
      const Values dgamma(fused.sums.begin() + channels, fused.sums.end());
      const Values dbeta(fused.sums.begin(), fused.sums.begin() + channels);

      // The mask is held where it is at the point: a difference must not cross the ReLU's kink.
      Values masked(y.size());
      std::transform(y.begin(), y.end(), dy.begin(), masked.begin(),
                     [](float output, float g) { return output > 0 ? g : 0.0F; });
      const auto loss = [&] {
        n.measure(x);
        return dot(n.normalize(x, residual, false), masked);
      };
      expect_gradient(loss, x, dx, 1.0F / 32, 3e-3, "x");
      expect_gradient(loss, n.gamma, dgamma, 1.0F / 32, 1e-4, "gamma");
      expect_gradient(loss, n.beta, dbeta, 1.0F / 32, 1e-4, "beta");
      if (with_residual)
        expect_gradient(loss, residual, fused.residual_gradient, 1.0F / 32, 1e-4, "residual");
    }
  }
}

TEST_F(NormTest, WithFrozenStatisticsTheGradientIsScaled) {
  const Values x = random_values(41 * 10, "x");
  const Values dy = random_values(41 * 10, "dy");
  Norm n(41, 10);
  n.measure(x);
  Values dx(dy.size());
  tested::norm::backward_frozen(x.data(), dy.data(), false, n.affine(), 41, 10, dx.data());
  for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_EQ(dx[i], n.scale[i % 10] * dy[i]);
}

}  // namespace
}  // namespace lockstep::test
