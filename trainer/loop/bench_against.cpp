#include "trainer/loop/bench_against.h"

namespace lockstep {
namespace {

constexpr int windows = 41;

}  // namespace

AgainstReport measure_against(Communicator& comm, const Config& configured, const InputFacts& input,
                              const Config& other, const InputFacts& other_input, double window_seconds) {
  // Steps of the first make the plan's memory its own before the second asks how much there is.
  BenchedStep first(comm, configured, input);
  AgainstReport report;
  report.steps_per_window = first.steps_in(window_seconds);
  BenchedStep second(comm, other, other_input);
  second.steps_in(window_seconds);  // warms up
  const auto steps = static_cast<double>(report.steps_per_window);
  const auto measure_first = [&] {
    report.configured.push_back(first.seconds(report.steps_per_window) / steps);
  };
  const auto measure_second = [&] {
    report.other.push_back(second.seconds(report.steps_per_window) / steps);
  };
  for (int window = 0; window < windows; ++window) {
    if (window % 2 == 0) measure_first();
    measure_second();
    if (window % 2 == 1) measure_first();
  }
  return report;
}

}  // namespace lockstep
