#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "trainer/cli/bench.h"
#include "trainer/loop/bench_norm.h"

namespace lockstep {
namespace {

constexpr double to_ms = 1e3;

}  // namespace

std::string bench_norm(Communicator& comm, const Bench& bench) {
  const Config& config = bench.config;
  const NormReport report = measure_norm(comm, config, bench.input, bench.window_seconds);
  const Spread ratio = spread(ratios(report.global, report.local));
  const double global_ms = spread(report.global).median * to_ms;
  const double local_ms = spread(report.local).median * to_ms;
  if (!bench.json) {
    return fmt::format(
        "{} on {}: a step with synchronized batch norm takes {:.3f} times ({:.3f} to {:.3f}) one with each "
        "shard's own and no running statistics: {:.3f} ms, and {:.3f} ms; batch {}, {} shards, {} worker(s) "
        "of {} thread(s), {} windows of {} steps",
        model_name(config), to_string(bench.input.shape), ratio.median, ratio.min, ratio.max, global_ms,
        local_ms, config.batch.global, config.batch.shards, comm.size(), config.threads, report.global.size(),
        report.steps_per_window);
  }
  return nlohmann::ordered_json{{"ratio", ratio.median},
                                {"min", ratio.min},
                                {"max", ratio.max},
                                {"global_ms", global_ms},
                                {"local_ms", local_ms},
                                {"model", model_name(config)},
                                {"batch", config.batch.global},
                                {"shards", config.batch.shards},
                                {"workers", comm.size()},
                                {"threads", config.threads},
                                {"windows", report.global.size()},
                                {"steps_per_window", report.steps_per_window}}
      .dump();
}

}  // namespace lockstep
