#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "trainer/cli/bench.h"
#include "trainer/loop/bench_peak.h"

namespace lockstep {
namespace {

constexpr double to_ms = 1e3;

std::map<std::string, double> by_pass(const PeakReport& report) {
  std::map<std::string, double> sums;
  for (const auto& it : report.primitives) sums[it.pass] += spread(it.seconds).median;
  return sums;
}

std::string in_words(const Bench& bench, int workers, const PeakReport& report) {
  const Spread ratio = spread(ratios(report.steps, report.sums));
  std::string text = fmt::format(
      "{} on {}: a step takes {:.2f} times its bare primitives ({:.2f} to {:.2f}): {:.3f} ms, and they "
      "{:.3f} ms; "
      "batch {}, {} shards, {} worker(s), {} windows",
      model_name(bench.config), to_string(bench.input.shape), ratio.median, ratio.min, ratio.max,
      spread(report.steps).median * to_ms, spread(report.sums).median * to_ms, bench.config.batch.global,
      bench.config.batch.shards, workers, report.sums.size());
  for (const auto& [pass, seconds] : by_pass(report)) {
    text += fmt::format("\n  all {:<16} {:9.3f} ms", pass, seconds * to_ms);
  }
  for (const auto& it : report.primitives) {
    text += fmt::format("\n  {:<24} {:<16} {:9.3f} ms  {}", it.layer, it.pass,
                        spread(it.seconds).median * to_ms, it.implementation);
  }
  return text;
}

}  // namespace

std::string bench_peak(Communicator& comm, const Bench& bench) {
  const PeakReport report = measure_peak(comm, bench.config, bench.input, bench.window_seconds);
  if (!bench.json) return in_words(bench, comm.size(), report);

  const Spread ratio = spread(ratios(report.steps, report.sums));
  nlohmann::ordered_json json{{"ratio", ratio.median},
                              {"min", ratio.min},
                              {"max", ratio.max},
                              {"step_ms", spread(report.steps).median * to_ms},
                              {"primitives_ms", spread(report.sums).median * to_ms},
                              {"model", model_name(bench.config)},
                              {"batch", bench.config.batch.global},
                              {"shards", bench.config.batch.shards},
                              {"workers", comm.size()},
                              {"windows", report.sums.size()}};
  for (const auto& [pass, seconds] : by_pass(report)) json[pass + "_ms"] = seconds * to_ms;
  for (const auto& it : report.primitives) {
    json["primitives"].push_back(nlohmann::ordered_json{{"layer", it.layer},
                                                        {"pass", it.pass},
                                                        {"implementation", it.implementation},
                                                        {"ms", spread(it.seconds).median * to_ms}});
  }
  return json.dump();
}

}  // namespace lockstep
