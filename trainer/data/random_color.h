#pragma once

#include <cstdint>
#include <span>

#include "layers/tensor/random.h"
#include "trainer/config/schema.h"

namespace lockstep {

// Random changes of an image's colors, torchvision's ColorJitter: brightness, contrast, saturation and hue,
// in random order, each as far as the configuration lets it, uniformly. A pure function of (seed, epoch,
// index).
class RandomColor {
 public:
  RandomColor(AugmentConfig config, std::int64_t channels, std::uint64_t seed);

  void apply(std::int64_t epoch, std::int64_t index, std::span<std::uint8_t> pixels) const;

 private:
  AugmentConfig config_;
  std::int64_t channels_;
  Random amounts_, order_;
};

}  // namespace lockstep
