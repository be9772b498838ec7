#include "trainer/loop/bench_norm.h"

#include "comm/base/error.h"
#include "trainer/loop/bench_step.h"

namespace lockstep {
namespace {

Config synchronized(Config config) {
  config.normalization.sync = "global";
  return config;
}

Config without_exchange(Config config) {
  config.normalization.sync = "local";
  config.normalization.running_stats.clear();
  return config;
}

}  // namespace

NormReport measure_norm(Communicator& comm, const Config& config, const InputFacts& input,
                        double window_seconds) {
  // Steps of the first make the plan's memory its own before the second asks how much there is.
  BenchedStep global(comm, synchronized(config), input);
  if (!global.normalizes()) {
    throw UsageError(
        "bench norm compares ways to normalize, but the model has no batch_norm: give it one, or measure its "
        "step with bench step");
  }
  NormReport report;
  report.steps_per_window = global.steps_in(window_seconds);
  BenchedStep local(comm, without_exchange(config), input);
  local.steps_in(window_seconds);  // warms up
  const auto steps = static_cast<double>(report.steps_per_window);
  for (int window = 0; window < bench_windows; ++window) {
    report.global.push_back(global.seconds(report.steps_per_window) / steps);
    report.local.push_back(local.seconds(report.steps_per_window) / steps);
  }
  return report;
}

}  // namespace lockstep
