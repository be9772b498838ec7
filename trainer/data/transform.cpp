#include "trainer/data/transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "comm/base/error.h"
#include "trainer/data/parallel.h"
#include "trainer/data/random_region.h"

namespace lockstep {
namespace {

constexpr std::size_t values = 256;  // of a raw pixel
constexpr double scale = 255;

struct Sums {
  std::uint64_t pixels = 0, squares = 0;
};

void add_channel(Sums& sums, std::span<const std::uint8_t> pixels, std::size_t channel,
                 std::size_t channels) {
  for (std::size_t i = channel; i < pixels.size(); i += channels) {
    const std::uint64_t pixel = pixels[i];
    sums.pixels += pixel;
    sums.squares += pixel * pixel;
  }
}

// √(E[x²] − E[x]²), where the difference is taken between whole numbers, so nothing cancels.
double deviation_of(const Sums& sums, std::uint64_t count) {
  __extension__ using Wide = unsigned __int128;
  const Wide spread = Wide{count} * sums.squares - Wide{sums.pixels} * sums.pixels;
  return spread == 0 ? 1 : std::sqrt(static_cast<double>(spread)) / (static_cast<double>(count) * scale);
}

void check_normalization(const InputNormalization& normalization, const SampleShape& shape) {
  const auto check_count = [&](const char* key, const std::vector<double>& of_channels) {
    if (std::cmp_equal(of_channels.size(), shape.channels)) return;
    throw UsageError(fmt::format("{} has {} values, but the images are {}: one a channel is needed, {}", key,
                                 of_channels.size(), to_string(shape), shape.channels));
  };
  check_count("data.mean", normalization.mean);
  check_count("data.std", normalization.deviation);
  for (const double mean : normalization.mean) {
    if (!std::isfinite(mean)) throw UsageError(fmt::format("data.mean has {}, which is not finite", mean));
  }
  for (const double deviation : normalization.deviation) {
    if (!std::isfinite(deviation) || deviation <= 0) {
      throw UsageError(fmt::format("data.std has {}: it must be above 0", deviation));
    }
  }
}

void check_augmentation(const AugmentConfig& augment, const SampleShape& shape) {
  const std::int64_t side = std::min(shape.height, shape.width);
  if (augment.pad_crop < 0 || augment.pad_crop >= side) {
    throw UsageError(
        fmt::format("data.augment.pad_crop is {}: for images of {} it must be 0 to {}, or a crop may "
                    "miss the image",
                    augment.pad_crop, to_string(shape), side - 1));
  }
  if ((augment.saturation > 0 || augment.hue > 0) && shape.channels != 3) {
    throw UsageError(fmt::format(
        "data.augment.saturation and hue change colors, but the images are {}, without any: set both to 0",
        to_string(shape)));
  }
}

std::vector<float> normalized_values(const InputNormalization& normalization) {
  std::vector<float> table;
  for (std::size_t channel = 0; channel < normalization.mean.size(); ++channel) {
    for (std::size_t value = 0; value < values; ++value) {
      const double scaled = static_cast<double>(value) / scale;
      table.push_back(
          static_cast<float>((scaled - normalization.mean[channel]) / normalization.deviation[channel]));
    }
  }
  return table;
}

}  // namespace

InputNormalization measure_normalization(const Dataset& dataset, int threads, const Meanwhile& meanwhile) {
  if (dataset.size() == 0) throw std::invalid_argument("measure_normalization: an empty data set");
  const SampleShape shape = dataset.shape();
  const auto channels = static_cast<std::size_t>(shape.channels);
  struct Part {
    std::vector<std::uint8_t> pixels;
    std::vector<Sums> sums;
  };
  std::vector<Part> parts(
      static_cast<std::size_t>(threads),
      {std::vector<std::uint8_t>(static_cast<std::size_t>(shape.elements())), std::vector<Sums>(channels)});
  const auto add = [&](std::size_t thread, std::int64_t index) {
    Part& part = parts[thread];
    dataset.get(index, part.pixels);
    for (std::size_t channel = 0; channel < channels; ++channel)
      add_channel(part.sums[channel], part.pixels, channel, channels);
  };
  for_each_index(dataset.size(), threads, add, meanwhile);
  std::vector<Sums> sums(channels);
  for (const Part& part : parts) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      sums[channel].pixels += part.sums[channel].pixels;
      sums[channel].squares += part.sums[channel].squares;
    }
  }
  const auto count = static_cast<std::uint64_t>(dataset.size() * shape.pixels());
  InputNormalization measured;
  for (const Sums& of_channel : sums) {
    measured.mean.push_back(static_cast<double>(of_channel.pixels) / (static_cast<double>(count) * scale));
    measured.deviation.push_back(deviation_of(of_channel, count));
  }
  return measured;
}

Transform::Transform(SampleShape shape, InputNormalization normalization, AugmentConfig augment,
                     std::uint64_t seed)
    : shape_(shape),
      normalization_(std::move(normalization)),
      augment_(std::move(augment)),
      crop_(seed, "crop"),
      flip_(seed, "flip"),
      region_(seed, "region"),
      jitter_(augment_, shape.channels, seed) {
  check_normalization(normalization_, shape_);
  check_augmentation(augment_, shape_);
  table_ = normalized_values(normalization_);
}

void Transform::training(std::span<const std::uint8_t> pixels, std::int64_t epoch, std::int64_t index,
                         std::span<float> out) const {
  if (!augment_.jitters()) return apply(draw(epoch, index), pixels, out);
  std::vector<std::uint8_t> jittered(pixels.begin(), pixels.end());
  jitter_.apply(epoch, index, jittered);
  apply(draw(epoch, index), jittered, out);
}

ChooseRegion Transform::region(std::int64_t epoch, std::int64_t index) const {
  if (augment_.crop_scale.empty()) return nullptr;
  return [this, epoch, index](std::int64_t height, std::int64_t width) {
    return random_region(region_, epoch, index, {augment_.crop_scale[0], augment_.crop_scale[1]},
                         {augment_.crop_ratio[0], augment_.crop_ratio[1]}, height, width);
  };
}

void Transform::evaluation(std::span<const std::uint8_t> pixels, std::span<float> out) const {
  apply({}, pixels, out);
}

Transform::View Transform::draw(std::int64_t epoch, std::int64_t index) const {
  const auto a = static_cast<std::uint64_t>(epoch);
  const auto b = static_cast<std::uint64_t>(index);
  View view;
  if (augment_.pad_crop > 0) {
    const std::int64_t offsets = 2 * augment_.pad_crop + 1;
    const auto drawn =
        static_cast<std::int64_t>(crop_.below(static_cast<std::uint64_t>(offsets * offsets), a, b));
    view.top = drawn / offsets - augment_.pad_crop;
    view.left = drawn % offsets - augment_.pad_crop;
  }
  view.mirrored = augment_.flip && flip_.below(2, a, b) == 1;
  return view;
}

void Transform::apply(const View& view, std::span<const std::uint8_t> pixels, std::span<float> out) const {
  const auto [height, width, channels] = shape_;
  if (std::cmp_not_equal(pixels.size(), shape_.elements()) || out.size() != pixels.size()) {
    throw std::invalid_argument(fmt::format("{} raw and {} normalized pixels, but an image has {}",
                                            pixels.size(), out.size(), to_string(shape_)));
  }
  std::size_t element = 0;
  for (std::int64_t row = 0; row < height; ++row) {
    const std::int64_t from_row = row + view.top;
    const bool row_inside = from_row >= 0 && from_row < height;
    for (std::int64_t column = 0; column < width; ++column) {
      const std::int64_t from_column = (view.mirrored ? width - 1 - column : column) + view.left;
      const bool inside = row_inside && from_column >= 0 && from_column < width;
      const std::int64_t from = (from_row * width + from_column) * channels;
      for (std::int64_t channel = 0; channel < channels; ++channel, ++element) {
        const std::size_t pixel = inside ? pixels[static_cast<std::size_t>(from + channel)] : 0;
        out[element] = table_[static_cast<std::size_t>(channel) * values + pixel];
      }
    }
  }
}

}  // namespace lockstep
