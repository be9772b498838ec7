#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

// What `lockstep bench` measures, a file each. Each is collective, and answers what rank 0 prints.
namespace lockstep {

struct Bench {
  // `step`: what takes turns with the configuration, its own but for one setting.
  struct Against {
    std::string setting;  // key=value
    Config config;
    InputFacts input;
  };

  Config config;
  InputFacts input;
  double window_seconds = 0;  // how long a window takes, about
  bool json = false;          // one JSON object, else lines for a reader
  bool real_data = false;     // `step`: of the configuration's data set, else random images made beforehand
  std::optional<Against> against = std::nullopt;
};

std::string bench_step(Communicator& comm, const Bench& bench);
std::string bench_against(Communicator& comm, const Bench& bench);  // `step` with --against
std::string bench_peak(Communicator& comm, const Bench& bench);
std::string bench_predict(Communicator& comm, const Bench& bench);
std::string bench_norm(Communicator& comm, const Bench& bench);
std::string bench_allreduce(Communicator& comm, const Bench& bench);

std::string model_name(const Config& config);

// Median, least and greatest of some measurements.
struct Spread {
  double median = 0, min = 0, max = 0;
};
Spread spread(std::vector<double> values);
// In which the median of what the values are samples of lies, with a probability of 95 %: order statistics of
// the binomial distribution by its normal approximation (Conover, Practical Nonparametric Statistics, 3.2).
struct Interval {
  double low = 0, high = 0;
};
Interval interval_of_median(std::vector<double> values);

// Of each value by the other at its place.
std::vector<double> ratios(const std::vector<double>& above, const std::vector<double>& below);

}  // namespace lockstep
