#include "trainer/data/synthetic.h"

#include <algorithm>
#include <array>

#include "layers/tensor/random.h"

namespace lockstep {
namespace {

constexpr std::uint64_t fixed_seed = 0;
constexpr std::size_t bytes_a_draw = 16;

std::array<std::uint8_t, bytes_a_draw> draw_bytes(const Random& random, std::int64_t a, std::size_t b) {
  const auto words = random.bits(static_cast<std::uint64_t>(a), b);
  std::array<std::uint8_t, bytes_a_draw> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(words[i / 4] >> (8 * (i % 4)));
  }
  return bytes;
}

class Synthetic : public Dataset {
 public:
  Synthetic(const SyntheticConfig& config, std::int64_t first, std::int64_t samples)
      : shape_{config.height, config.width, config.channels},
        classes_(config.classes),
        first_(first),
        samples_(samples) {}

  std::int64_t size() const override { return samples_; }
  SampleShape shape() const override { return shape_; }
  std::int64_t classes() const override { return classes_; }
  std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    const std::int64_t number = first_ + index;
    const std::int64_t label = number % classes_;
    for (std::size_t begin = 0; begin < pixels.size(); begin += bytes_a_draw) {
      const auto pattern = draw_bytes(patterns_, label, begin);
      const auto noise = draw_bytes(noise_, number, begin);
      const std::size_t count = std::min(bytes_a_draw, pixels.size() - begin);
      for (std::size_t i = 0; i < count; ++i) {
        pixels[begin + i] = static_cast<std::uint8_t>((pattern[i] + 3 * noise[i]) / 4);
      }
    }
    return static_cast<std::int32_t>(label);
  }

 private:
  SampleShape shape_;
  std::int64_t classes_, first_, samples_;
  Random patterns_{fixed_seed, "synthetic pattern"};
  Random noise_{fixed_seed, "synthetic noise"};
};

}  // namespace

std::shared_ptr<const Dataset> make_synthetic(const SyntheticConfig& config, std::int64_t first,
                                              std::int64_t samples) {
  return std::make_shared<Synthetic>(config, first, samples);
}

}  // namespace lockstep
