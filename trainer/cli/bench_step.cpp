#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "trainer/cli/bench.h"
#include "trainer/loop/bench_step.h"
#include "trainer/loop/memory.h"

namespace lockstep {
namespace {

constexpr double mebibyte = 1 << 20;

}  // namespace

std::string bench_step(Communicator& comm, const Bench& bench) {
  if (bench.against) return bench_against(comm, bench);
  const Config& config = bench.config;
  std::optional<TrainingData> training;
  InputFacts input = bench.input;
  if (bench.real_data) {
    training = open_training_data(comm, config);
    input = {training->dataset->shape(), training->dataset->classes()};
  }
  const StepSpeed speed =
      measure_steps(comm, config, input, training ? &*training : nullptr, bench.window_seconds);
  const Spread rate = spread(speed.images_per_s);
  if (!bench.json) {
    return fmt::format(
        "{} on {}{}: {:.0f} images/s (min {:.0f}, max {:.0f}); batch {}, {} shards, {} worker(s) of {} "
        "thread(s), {} windows of {} steps; first step done {:.2f} s after the start, at most {} a process",
        model_name(config), to_string(input.shape), bench.real_data ? " of the data set" : "", rate.median,
        rate.min, rate.max, config.batch.global, config.batch.shards, comm.size(), config.threads,
        speed.images_per_s.size(), speed.steps_per_window, speed.first_step_s,
        readable_bytes(static_cast<std::size_t>(speed.peak_memory_bytes)));
  }
  return nlohmann::ordered_json{{"images_per_s", rate.median},
                                {"min", rate.min},
                                {"max", rate.max},
                                {"model", model_name(config)},
                                {"images", bench.real_data ? "data set" : "random"},
                                {"batch", config.batch.global},
                                {"shards", config.batch.shards},
                                {"workers", comm.size()},
                                {"threads", config.threads},
                                {"windows", speed.images_per_s.size()},
                                {"steps_per_window", speed.steps_per_window},
                                {"first_step_s", speed.first_step_s},
                                {"peak_memory_mib", static_cast<double>(speed.peak_memory_bytes) / mebibyte}}
      .dump();
}

}  // namespace lockstep
