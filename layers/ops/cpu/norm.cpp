#include "layers/ops/norm.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "layers/ops/cpu/vectorized.h"
#include "layers/ops/norm_formulas.h"

// Vectors run across lanes. A lane is a channel; where channels are few, several rows side by side make one
// wide row, so that lanes still fill vectors. Sums take eight wide rows in a fixed association in fp32 and go
// on in fp64; rows behind the last full eight go to fp64 one by one. So a sum depends on rows and channels
// alone.
namespace lockstep::norm {
namespace {

constexpr std::int64_t enough_lanes = 64;
constexpr std::int64_t block = 8;  // wide rows

// How rows × channels are read: `rows` wide rows of `lanes`, then `rest` lanes.
struct Layout {
  std::int64_t channels;
  std::int64_t repeat;  // rows in a wide row
  std::int64_t lanes;
  std::int64_t rows;
  std::int64_t rest;

  Layout(std::int64_t plain_rows, std::int64_t channel_count)
      : channels(channel_count),
        repeat((enough_lanes + channels - 1) / channels),
        lanes(repeat * channels),
        rows(plain_rows / repeat),
        rest(plain_rows % repeat * channels) {}

  // visit(offset, lanes) for each wide row.
  template <class Visit>
  void for_each_row(const Visit& visit) const {
    vectorized([&] {
      for (std::int64_t row = 0; row < rows; ++row) visit(row * lanes, lanes);
      if (rest > 0) visit(rows * lanes, rest);
    });
  }

  // visit_block(offset) for each eight wide rows, visit_row(offset, lanes) for what is left.
  template <class VisitBlock, class VisitRow>
  void for_each_block(const VisitBlock& visit_block, const VisitRow& visit_row) const {
    vectorized([&] {
      const std::int64_t blocks = rows / block;
      for (std::int64_t index = 0; index < blocks; ++index) visit_block(index * block * lanes);
      for (std::int64_t row = blocks * block; row < rows; ++row) visit_row(row * lanes, lanes);
      if (rest > 0) visit_row(rows * lanes, rest);
    });
  }

  // A channel's constants, lane by lane.
  template <class E>
  std::vector<float> spread(const E* values) const {
    std::vector<float> wide(static_cast<std::size_t>(lanes));
    for (std::int64_t row = 0; row < repeat; ++row) {
      std::transform(values, values + channels, &wide[row * channels],
                     [](E value) { return to_float(value); });
    }
    return wide;
  }

  // What the lanes of a channel sum up to.
  void gather(const std::vector<double>& wide, double* sums) const {
    std::fill_n(sums, channels, 0.0);
    for (std::int64_t row = 0; row < repeat; ++row) {
      for (std::int64_t c = 0; c < channels; ++c) sums[c] += wide[row * channels + c];
    }
  }
};

// term(0) + … + term(7), in pairs.
template <class Term>
float sum_of_eight(const Term& term) {
  return ((term(0) + term(1)) + (term(2) + term(3))) + ((term(4) + term(5)) + (term(6) + term(7)));
}

// One lane of a block.
template <class E>
void add_deviations(const E* x, std::int64_t lanes, float shift, double& sum, double& square,
                    double& within) {
  const auto deviation = [=](std::int64_t row) { return to_float(x[row * lanes]) - shift; };
  const float total = sum_of_eight(deviation);
  const float mean = total * 0.125F;
  const float rest = sum_of_eight([=](std::int64_t row) {
    const float d = deviation(row) - mean;
    return d * d;
  });
  sum += static_cast<double>(total);
  square += static_cast<double>(total) * static_cast<double>(total) * 0.125;
  within += static_cast<double>(rest);
}

}  // namespace

// Within a block of eight, deviations are taken from the block's own mean; between blocks, from the shard's
// first row, in fp64. With s a block's sum, M2 = Σ within + Σ s² / 8 − (Σ s)² / rows.
template <class E>
void moments(const E* x, std::int64_t rows, std::int64_t channels, double* moments) {
  const Layout layout(rows, channels);
  const std::int64_t lanes = layout.lanes;
  const std::vector<float> first_row = layout.spread(x);
  std::vector<double> sums(lanes);
  std::vector<double> squares(lanes);  // Σ s² / 8 of blocks, and of the rows behind them
  std::vector<double> within(lanes);
  const float* shift = first_row.data();
  double* sum = sums.data();
  double* square = squares.data();
  double* inner = within.data();

  const auto visit_block = [=](std::int64_t offset) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      add_deviations(x + offset + lane, lanes, shift[lane], sum[lane], square[lane], inner[lane]);
    }
  };
  const auto visit_row = [=](std::int64_t offset, std::int64_t count) {
    const E* row = x + offset;
#pragma omp simd
    for (std::int64_t lane = 0; lane < count; ++lane) {
      const auto deviation = static_cast<double>(to_float(row[lane]) - shift[lane]);
      sum[lane] += deviation;
      square[lane] += deviation * deviation;
    }
  };
  layout.for_each_block(visit_block, visit_row);

  double* mean = moments;
  double* m2 = moments + channels;
  layout.gather(sums, mean);
  layout.gather(squares, m2);
  std::vector<double> inner_sums(channels);
  layout.gather(within, inner_sums.data());
  for (std::int64_t c = 0; c < channels; ++c) {
    const double total = mean[c];
    const double shifted = total / static_cast<double>(rows);
    const double spread = m2[c] - total * shifted;
    m2[c] = inner_sums[c] + (spread < 0 ? 0 : spread);
    mean[c] = static_cast<double>(to_float(x[c])) + shifted;
  }
}

namespace {

// Calls visit with the value as a type, so that loops are compiled once for each.
template <class Visit>
void choose(bool value, const Visit& visit) {
  value ? visit(std::true_type{}) : visit(std::false_type{});
}

struct WideAffine {
  std::vector<float> mean, scale, shift;

  WideAffine(const Affine& affine, const Layout& layout)
      : mean(layout.spread(affine.mean.data())),
        scale(layout.spread(affine.scale.data())),
        shift(layout.spread(affine.shift.data())) {}
};

// One lane of a block.
template <bool masked, class E>
void add_products(const E* x, const E* dy, std::int64_t lanes, float mean, float scale, float shift,
                  double& sum, double& product) {
  const auto dz = [=](std::int64_t row) {
    return dz_of<masked>(dy[row * lanes], x[row * lanes], mean, scale, shift);
  };
  sum += static_cast<double>(sum_of_eight(dz));
  product += static_cast<double>(
      sum_of_eight([=](std::int64_t row) { return dz(row) * (to_float(x[row * lanes]) - mean); }));
}

// Where a residual joined before the ReLU: masks dy in place and hands it to the residual.
template <class E>
void pass_to_residual(const E* y, E* dy, bool relu, E* residual_gradient, bool accumulate,
                      std::int64_t count) {
  if (relu) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      dy[i] = from_float<E>(relu_gradient(to_float(y[i]), to_float(dy[i])));
    }
  }
  if (residual_gradient == nullptr) return;
  choose(accumulate, [=](auto add) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      residual_gradient[i] = add ? from_float<E>(to_float(residual_gradient[i]) + to_float(dy[i])) : dy[i];
    }
  });
}

}  // namespace

template <class E>
void normalize(const E* x, const Same<E>* residual, bool relu, const Affine& affine, std::int64_t rows,
               std::int64_t channels, Same<E>* y) {
  const Layout layout(rows, channels);
  const WideAffine wide(affine, layout);
  const float* mean = wide.mean.data();
  const float* scale = wide.scale.data();
  const float* shift = wide.shift.data();
  choose(residual != nullptr, [&](auto with_residual) {
    choose(relu, [&](auto with_relu) {
      layout.for_each_row([=](std::int64_t offset, std::int64_t lanes) {
#pragma omp simd
        for (std::int64_t lane = 0; lane < lanes; ++lane) {
          const std::int64_t i = offset + lane;
          float value = normalized(to_float(x[i]), mean[lane], scale[lane], shift[lane]);
          if constexpr (with_residual) value = stored<E>(value) + to_float(residual[i]);
          y[i] = from_float<E>(with_relu ? lockstep::relu(value) : value);
        }
      });
    });
  });
}

template <class E>
void backward_sums(const E* x, const Same<E>* y, Same<E>* dy, bool relu, bool residual, const Affine& affine,
                   std::int64_t rows, std::int64_t channels, Same<E>* residual_gradient, bool accumulate,
                   double* sums) {
  const Layout layout(rows, channels);
  const WideAffine wide(affine, layout);
  std::vector<double> wide_sums(layout.lanes);
  std::vector<double> wide_products(layout.lanes);
  const float* mean = wide.mean.data();
  const float* scale = wide.scale.data();
  const float* shift = wide.shift.data();
  double* sum = wide_sums.data();
  double* product = wide_products.data();

  const auto pass = [=](std::int64_t offset, std::int64_t count) {
    if (!residual) return;
    pass_to_residual<E>(relu ? y + offset : nullptr, dy + offset, relu,
                        residual_gradient == nullptr ? nullptr : residual_gradient + offset, accumulate,
                        count);
  };
  choose(relu && !residual, [&](auto masked) {
    const auto visit_block = [=, lanes = layout.lanes](std::int64_t offset) {
      pass(offset, block * lanes);
#pragma omp simd
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        add_products<masked, E>(x + offset + lane, dy + offset + lane, lanes, mean[lane], scale[lane],
                                shift[lane], sum[lane], product[lane]);
      }
    };
    const auto visit_row = [=](std::int64_t offset, std::int64_t lanes) {
      pass(offset, lanes);
#pragma omp simd
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t i = offset + lane;
        const auto dz = static_cast<double>(dz_of<masked>(dy[i], x[i], mean[lane], scale[lane], shift[lane]));
        sum[lane] += dz;
        product[lane] += dz * static_cast<double>(to_float(x[i]) - mean[lane]);
      }
    };
    layout.for_each_block(visit_block, visit_row);
  });

  layout.gather(wide_sums, sums);
  layout.gather(wide_products, sums + channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    sums[channels + c] *= static_cast<double>(affine.inverse_deviation[c]);
  }
}

template <class E>
void backward_apply(const E* x, const Same<E>* dy, bool masked, const Affine& affine, const GroupSums& sums,
                    std::int64_t rows, std::int64_t channels, Same<E>* dx) {
  const Layout layout(rows, channels);
  const WideAffine wide(affine, layout);
  const auto count = static_cast<double>(sums.count);
  std::vector<float> offsets(channels);
  std::vector<float> slopes(channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    const GroupTerms terms = group_terms(sums.dz[c], sums.dz_xhat[c], count, affine.inverse_deviation[c]);
    offsets[c] = terms.mean_dz;
    slopes[c] = terms.slope;
  }
  const std::vector<float> wide_offsets = layout.spread(offsets.data());
  const std::vector<float> wide_slopes = layout.spread(slopes.data());
  const float* mean = wide.mean.data();
  const float* scale = wide.scale.data();
  const float* shift = wide.shift.data();
  const float* mean_dz = wide_offsets.data();
  const float* slope = wide_slopes.data();
  choose(masked, [&](auto mask) {
    layout.for_each_row([=](std::int64_t offset, std::int64_t lanes) {
#pragma omp simd
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t i = offset + lane;
        const float dz = dz_of<mask>(dy[i], x[i], mean[lane], scale[lane], shift[lane]);
        dx[i] = from_float<E>(dx_of(dz, to_float(x[i]), mean[lane], scale[lane], mean_dz[lane], slope[lane]));
      }
    });
  });
}

template <class E>
void backward_frozen(const E* x, const Same<E>* dy, bool masked, const Affine& affine, std::int64_t rows,
                     std::int64_t channels, Same<E>* dx) {
  const Layout layout(rows, channels);
  const WideAffine wide(affine, layout);
  const float* mean = wide.mean.data();
  const float* scale = wide.scale.data();
  const float* shift = wide.shift.data();
  choose(masked, [&](auto mask) {
    layout.for_each_row([=](std::int64_t offset, std::int64_t lanes) {
#pragma omp simd
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t i = offset + lane;
        dx[i] = from_float<E>(scale[lane] * dz_of<mask>(dy[i], x[i], mean[lane], scale[lane], shift[lane]));
      }
    });
  });
}

template void moments(const float*, std::int64_t, std::int64_t, double*);
template void normalize(const float*, const float*, bool, const Affine&, std::int64_t, std::int64_t, float*);
template void backward_sums(const float*, const float*, float*, bool, bool, const Affine&, std::int64_t,
                            std::int64_t, float*, bool, double*);
template void backward_apply(const float*, const float*, bool, const Affine&, const GroupSums&, std::int64_t,
                             std::int64_t, float*);
template void backward_frozen(const float*, const float*, bool, const Affine&, std::int64_t, std::int64_t,
                              float*);

template void moments(const Bf16*, std::int64_t, std::int64_t, double*);
template void normalize(const Bf16*, const Bf16*, bool, const Affine&, std::int64_t, std::int64_t, Bf16*);
template void backward_sums(const Bf16*, const Bf16*, Bf16*, bool, bool, const Affine&, std::int64_t,
                            std::int64_t, Bf16*, bool, double*);
template void backward_apply(const Bf16*, const Bf16*, bool, const Affine&, const GroupSums&, std::int64_t,
                             std::int64_t, Bf16*);
template void backward_frozen(const Bf16*, const Bf16*, bool, const Affine&, std::int64_t, std::int64_t,
                              Bf16*);

}  // namespace lockstep::norm
