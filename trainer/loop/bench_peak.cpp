#include "trainer/loop/bench_peak.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "comm/base/error.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/bench_step.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

std::string_view name_of(BarePrimitive::Pass pass) {
  switch (pass) {
    case BarePrimitive::Pass::forward:
      return "forward";
    case BarePrimitive::Pass::backward_data:
      return "backward_data";
    case BarePrimitive::Pass::backward_weight:
      return "backward_weight";
  }
  throw std::logic_error("a pass without a name");
}

std::string implementation_of(const BareStep::Entry& entry) {
  return fmt::format("{}", fmt::join(entry.implementations, ", "));
}

// Runs every primitive so many times, and answers the seconds that one run of each took.
std::vector<double> time_primitives(const BareStep& bare, std::int64_t runs) {
  std::vector<double> seconds(bare.entries().size());
  for (std::int64_t run = 0; run < runs; ++run) {
    for (std::size_t entry = 0; entry < seconds.size(); ++entry) {
      const auto start = Clock::now();
      bare.run(entry);
      seconds[entry] += std::chrono::duration<double>(Clock::now() - start).count();
    }
  }
  for (double& taken : seconds) taken /= static_cast<double>(runs);
  return seconds;
}

}  // namespace

PeakReport measure_peak(Communicator& comm, const Config& config, const InputFacts& input,
                        double window_seconds) {
  if (config.threads != 1) {
    throw UsageError(fmt::format(
        "bench peak compares workers of one thread, but threads is {}: set it to 1 and start more "
        "workers",
        config.threads));
  }
  BenchedStep step(comm, config, input);
  std::optional<BareStep> bare;
  agree(comm, "primitives",
        [&] { bare.emplace(model_options(config, input), comm.size(), comm.rank(), config.batch.global); });

  const std::int64_t steps = step.steps_in(window_seconds);
  time_primitives(*bare, 1);
  PeakReport report;
  for (const auto& about : bare->entries()) {
    report.primitives.push_back(
        {about.layer, std::string(name_of(about.pass)), implementation_of(about), {}});
  }
  for (int window = 0; window < bench_windows; ++window) {
    report.steps.push_back(step.seconds(steps) / static_cast<double>(steps));
    std::vector<double> seconds;
    const double all = seconds_together(comm, [&] { seconds = time_primitives(*bare, steps); });
    report.sums.push_back(all / static_cast<double>(steps));
    for (std::size_t entry = 0; entry < seconds.size(); ++entry) {
      report.primitives[entry].seconds.push_back(seconds[entry]);
    }
  }
  return report;
}

}  // namespace lockstep
