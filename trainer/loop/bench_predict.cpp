#include "trainer/loop/bench_predict.h"

#include <algorithm>
#include <cmath>

#include "layers/tensor/random.h"
#include "trainer/loop/bench_step.h"
#include "trainer/loop/classify.h"

namespace lockstep {
namespace {

Trained untrained(const Config& config, const InputFacts& input) {
  const auto channels = static_cast<std::size_t>(input.shape.channels);
  Facts facts;
  facts.input = input;
  facts.normalization = {std::vector<double>(channels, 0.5), std::vector<double>(channels, 0.25)};
  ModelOptions options = model_options(config, input);
  options.allow_reference = false;
  Model model(std::move(options), 1, 0);
  model.initialize();
  return {config, facts, std::move(model)};
}

std::vector<std::uint8_t> random_pixels(std::size_t count) {
  constexpr std::uint64_t values = 256;
  const Random random(1, "bench predict");
  std::vector<std::uint8_t> pixels;
  pixels.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    pixels.push_back(static_cast<std::uint8_t>(random.below(values, i, 0)));
  }
  return pixels;
}

}  // namespace

PredictSpeed measure_predictions(Communicator& comm, const Config& config, const InputFacts& input,
                                 double window_seconds) {
  Trained trained = untrained(config, input);
  Classifier classifier(trained, 0);
  const std::vector<std::uint8_t> pixels =
      random_pixels(static_cast<std::size_t>(config.batch.global * input.shape.elements()));
  const auto seconds = [&](std::int64_t calls) {
    return seconds_together(comm, [&] {
      for (std::int64_t call = 0; call < calls; ++call) classifier.classify(pixels, 1);
    });
  };
  seconds(1);  // primitives are made
  const std::int64_t calls = std::max<std::int64_t>(std::llround(window_seconds / seconds(1)), 1);
  PredictSpeed speed;
  speed.images_per_window = calls * config.batch.global;
  for (int window = 0; window < bench_windows; ++window) {
    speed.images_per_s.push_back(static_cast<double>(speed.images_per_window) / seconds(calls));
  }
  return speed;
}

}  // namespace lockstep
