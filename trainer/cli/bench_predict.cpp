#include "trainer/loop/bench_predict.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "trainer/cli/bench.h"

namespace lockstep {

std::string bench_predict(Communicator& comm, const Bench& bench) {
  const Config& config = bench.config;
  const PredictSpeed speed = measure_predictions(comm, config, bench.input, bench.window_seconds);
  const Spread rate = spread(speed.images_per_s);
  if (!bench.json) {
    return fmt::format(
        "{} on {}: {:.1f} images/s predicted by one thread (min {:.1f}, max {:.1f}); {} images at a time, {} "
        "windows of {} images",
        model_name(config), to_string(bench.input.shape), rate.median, rate.min, rate.max,
        config.batch.global, speed.images_per_s.size(), speed.images_per_window);
  }
  return nlohmann::ordered_json{{"images_per_s", rate.median},
                                {"min", rate.min},
                                {"max", rate.max},
                                {"model", model_name(config)},
                                {"batch", config.batch.global},
                                {"threads", 1},
                                {"windows", speed.images_per_s.size()},
                                {"images_per_window", speed.images_per_window}}
      .dump();
}

}  // namespace lockstep
