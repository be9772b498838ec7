#pragma once

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

// What `lockstep bench` measures, a file each. Each is collective, and answers what rank 0 prints.
namespace lockstep {

struct Bench {
  Config config;
  InputFacts input;
  bool json = false;       // one JSON object, else lines for a reader
  bool real_data = false;  // `step`: of the configuration's data set, else random images made beforehand
};

std::string bench_step(Communicator& comm, const Bench& bench);
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
// Of each value by the other at its place.
std::vector<double> ratios(const std::vector<double>& above, const std::vector<double>& below);

}  // namespace lockstep
