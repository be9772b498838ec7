#pragma once

#include "trainer/config/entry.h"
#include "trainer/config/schema.h"

// The value of optimizer.rules, a list of maps.
namespace lockstep {

void read_rules(const YAML::Node& value, const Place& place, std::vector<OptimizerRule>& rules);
Json write_rules(const std::vector<OptimizerRule>& rules);

}  // namespace lockstep
