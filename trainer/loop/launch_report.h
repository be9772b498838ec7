#pragma once

#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/config/schema.h"
#include "trainer/loop/placement.h"

namespace lockstep {

// One worker: where it runs, and how its messages travel.
struct WorkerFacts {
  Placement placement;
  Links links;
};

// What can be said about a job before it computes anything.
struct LaunchReport {
  std::vector<std::string> lines;
  std::vector<std::string> warnings;
};
// workers: by rank.
LaunchReport launch_report(std::span<const WorkerFacts> workers, const BatchConfig& batch);

// Collective. Rank 0 logs the report: hosts, workers, the cores of each, how messages travel, how the shards
// divide; it warns where workers share a core.
void report_launch(Communicator& comm, const Config& config);

}  // namespace lockstep
