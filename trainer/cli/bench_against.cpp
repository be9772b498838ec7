#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "trainer/cli/bench.h"
#include "trainer/loop/bench_against.h"

namespace lockstep {
namespace {

constexpr double to_ms = 1e3;

}  // namespace

std::string bench_against(Communicator& comm, const Bench& bench) {
  const auto& [setting, other, other_input] = bench.against.value();
  const Config& config = bench.config;
  const AgainstReport report =
      measure_against(comm, config, bench.input, other, other_input, bench.window_seconds);
  const std::vector<double> each = ratios(report.configured, report.other);
  const Spread ratio = spread(each);
  const Interval interval = interval_of_median(each);
  const double configured_ms = spread(report.configured).median * to_ms;
  const double other_ms = spread(report.other).median * to_ms;
  if (!bench.json) {
    return fmt::format(
        "{} on {}: a step takes {:.3f} times (the median of pairs; {:.3f} to {:.3f} in 95 % of repetitions; "
        "{:.3f} to {:.3f} single pairs) one with {}: {:.3f} ms, and {:.3f} ms; batch {}, {} shards, {} "
        "worker(s) of {} "
        "thread(s), {} windows of {} steps",
        model_name(config), to_string(bench.input.shape), ratio.median, interval.low, interval.high,
        ratio.min, ratio.max, setting, configured_ms, other_ms, config.batch.global, config.batch.shards,
        comm.size(), config.threads, report.configured.size(), report.steps_per_window);
  }
  return nlohmann::ordered_json{{"ratio", ratio.median},
                                {"low", interval.low},
                                {"high", interval.high},
                                {"min", ratio.min},
                                {"max", ratio.max},
                                {"against", setting},
                                {"configured_ms", configured_ms},
                                {"against_ms", other_ms},
                                {"model", model_name(config)},
                                {"batch", config.batch.global},
                                {"shards", config.batch.shards},
                                {"workers", comm.size()},
                                {"threads", config.threads},
                                {"windows", report.configured.size()},
                                {"steps_per_window", report.steps_per_window}}
      .dump();
}

}  // namespace lockstep
