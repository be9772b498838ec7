#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/tensor/random.h"
#include "layers/tensor/shape.h"
#include "trainer/config/schema.h"
#include "trainer/data/dataset.h"
#include "trainer/data/meanwhile.h"
#include "trainer/data/random_color.h"

namespace lockstep {

// Mean and deviation a channel of pixels scaled to [0, 1].
struct InputNormalization {
  std::vector<double> mean, deviation;
};
// Of a whole data set, in exact integer sums: the same everywhere. The deviation is the population's (divided
// by the number of pixels); a channel without any gets 1, so that its normalized pixels are all 0.
InputNormalization measure_normalization(
    const Dataset& dataset, int threads = 1, const Meanwhile& meanwhile = [] {});

// How raw pixels become a network's input: in training a random region of the picture, changes of its colors,
// crop and flip; then (pixel / 255 − mean) / deviation.
// Each of the 256 values a channel has is computed once, in double, and rounded to float once.
class Transform {
 public:
  // Throws UsageError where the normalization or the augmentation does not suit the shape.
  Transform(SampleShape shape, InputNormalization normalization, AugmentConfig augment, std::uint64_t seed);

  // Augmentation is keyed by (seed, purpose, epoch, dataset index); the index is that of the data set that is
  // read, so of the training split where there is one for validation. The crop comes before the flip; its
  // padding is black: raw pixels of value 0.
  // The region is chosen first, before there are pixels; null where data.augment asks for none.
  ChooseRegion region(std::int64_t epoch, std::int64_t index) const;
  void training(std::span<const std::uint8_t> pixels, std::int64_t epoch, std::int64_t index,
                std::span<float> out) const;
  void evaluation(std::span<const std::uint8_t> pixels, std::span<float> out) const;

  // The same without augmentation.
  Transform plain() const { return {shape_, normalization_, AugmentConfig{}, 0}; }

  const InputNormalization& normalization() const { return normalization_; }
  SampleShape shape() const { return shape_; }

 private:
  // Where the crop begins, relative to the image, and whether it is mirrored.
  struct View {
    std::int64_t top = 0, left = 0;
    bool mirrored = false;
  };
  View draw(std::int64_t epoch, std::int64_t index) const;
  void apply(const View& view, std::span<const std::uint8_t> pixels, std::span<float> out) const;

  SampleShape shape_;
  InputNormalization normalization_;
  AugmentConfig augment_;
  Random crop_, flip_, region_;
  RandomColor jitter_;
  std::vector<float> table_;  // 256 values a channel
};

}  // namespace lockstep
