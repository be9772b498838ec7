#pragma once

#include <cstdint>

#include "layers/ops/cuda/grid.h"
#include "layers/ops/reach.h"
#include "layers/tensor/element.h"

// Poolings: a column is a channel, a row a pixel of the shard. What a pixel is made of is taken in the order
// of the CPU's kernels, so these give their bits.
namespace lockstep::cuda {

// Where a pixel of the shard stands in its image.
struct Pixel {
  std::int64_t sample, row, column;

  LOCKSTEP_HOST_DEVICE Pixel(std::int64_t pixel, const SampleShape& image) {
    // 32 bits, which a GPU divides some times faster; pooling_pixels() has checked that they are enough.
    const auto index = static_cast<std::uint32_t>(pixel);
    const auto width = static_cast<std::uint32_t>(image.width);
    const auto height = static_cast<std::uint32_t>(image.height);
    sample = index / width / height;
    row = index / width % height;
    column = index % width;
  }
};

// visit(pixel) for the pixels of an area of one image, counted over the shard.
template <class Visit>
LOCKSTEP_HOST_DEVICE void visit_area(const SampleShape& image, std::int64_t sample, const Reach& rows,
                                     const Reach& columns, const Visit& visit) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t first = (sample * image.height + row) * image.width;
    for (std::int64_t column = columns.begin; column < columns.end; ++column) visit(first + column);
  }
}

// The inputs that an output sees.
template <class Visit>
LOCKSTEP_HOST_DEVICE void visit_window(const Pooling& p, std::int64_t output, const Visit& visit) {
  const Pixel at(output, p.out);
  visit_area(p.in, at.sample, window_of(p, at.row, p.in.height), window_of(p, at.column, p.in.width), visit);
}

// The outputs that see an input.
template <class Visit>
LOCKSTEP_HOST_DEVICE void visit_watchers(const Pooling& p, std::int64_t input, const Visit& visit) {
  const Pixel at(input, p.in);
  visit_area(p.out, at.sample, watchers_of(p, at.row, p.out.height), watchers_of(p, at.column, p.out.width),
             visit);
}

// The first of equals wins; NaN wins over everything.
template <class E>
struct MaxPooling {
  Pooling pooling;
  const E* x;
  E* y;
  std::int32_t* winners = nullptr;  // the pixel that won

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t channel) const {
    return [channel, *this](std::int64_t output) {
      const std::int64_t channels = pooling.in.channels;
      float best = 0;
      std::int64_t winner = -1;
      visit_window(pooling, output, [&](std::int64_t input) {
        const float value = to_float(x[input * channels + channel]);
        const bool wins = winner < 0 || (!(value <= best) && best == best);
        winner = wins ? input : winner;
        best = wins ? value : best;
      });
      y[output * channels + channel] = from_float<E>(best);
      winners[output * channels + channel] = static_cast<std::int32_t>(winner);
    };
  }
};

template <class E>
struct MaxPoolingGradient {
  Pooling pooling;
  const E* dy;
  const std::int32_t* winners = nullptr;
  E* dx;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t channel) const {
    return [channel, *this](std::int64_t input) {
      const std::int64_t channels = pooling.in.channels;
      float sum = 0;
      visit_watchers(pooling, input, [&](std::int64_t output) {
        const std::int64_t at = output * channels + channel;
        sum += winners[at] == static_cast<std::int32_t>(input) ? to_float(dy[at]) : 0.0F;
      });
      dx[input * channels + channel] = from_float<E>(sum);
    };
  }
};

// Of one input in the mean that an output is.
LOCKSTEP_HOST_DEVICE inline float share_of(const Pooling& p, std::int64_t output) {
  const Pixel at(output, p.out);
  const std::int64_t inputs =
      window_of(p, at.row, p.in.height).size() * window_of(p, at.column, p.in.width).size();
  return 1.0F / static_cast<float>(inputs);
}

template <class E>
struct AveragePooling {
  Pooling pooling;
  const E* x;
  E* y;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t channel) const {
    return [channel, *this](std::int64_t output) {
      const std::int64_t channels = pooling.in.channels;
      float sum = 0;
      visit_window(pooling, output,
                   [&](std::int64_t input) { sum += to_float(x[input * channels + channel]); });
      y[output * channels + channel] = from_float<E>(sum * share_of(pooling, output));
    };
  }
};

template <class E>
struct AveragePoolingGradient {
  Pooling pooling;
  const E* dy;
  E* dx;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t channel) const {
    return [channel, *this](std::int64_t input) {
      const std::int64_t channels = pooling.in.channels;
      float sum = 0;
      visit_watchers(pooling, input, [&](std::int64_t output) {
        sum += to_float(dy[output * channels + channel]) * share_of(pooling, output);
      });
      dx[input * channels + channel] = from_float<E>(sum);
    };
  }
};

// The mean over an image's pixels, in fp64. A row is a sample.
template <class E>
struct GlobalAveragePooling {
  const E* x;
  std::int64_t pixels, channels;
  E* y;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t channel) const {
    return [channel, *this](std::int64_t sample) {
      double sum = 0;
      for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
        sum += static_cast<double>(to_float(x[(sample * pixels + pixel) * channels + channel]));
      }
      y[sample * channels + channel] = from_float<E>(static_cast<float>(sum / static_cast<double>(pixels)));
    };
  }
};

// A row is a pixel of the shard.
template <class E>
struct GlobalAveragePoolingGradient {
  const E* dy;
  std::int64_t pixels, channels;
  E* dx;

  LOCKSTEP_HOST_DEVICE auto column(std::int64_t channel) const {
    return [channel, *this](std::int64_t pixel) {
      const float gradient = to_float(dy[pixel / pixels * channels + channel]);
      dx[pixel * channels + channel] = from_float<E>(gradient / static_cast<float>(pixels));
    };
  }
};

}  // namespace lockstep::cuda
