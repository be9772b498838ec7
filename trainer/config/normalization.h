#pragma once

#include <cstdint>
#include <string>

#include "trainer/config/entry.h"
#include "trainer/config/schema.h"

// The values of normalization.* that are more than one number or word.
namespace lockstep {

inline constexpr std::int64_t most_shards = 4096;

void read_sync(const YAML::Node& value, const Place& place, Config& config);
Json write_sync(const Config& config);
// What is wrong with it beside batch.shards; empty where all is right.
std::string check_sync(const Config& config);

// The momentum of a bare `ema` is settled once all keys are read.
void read_running_stats(const YAML::Node& value, const Place& place, Config& config);
Json write_running_stats(const Config& config);
// Gives `ema` the momentum of normalization.momentum, and answers which two entries are the same statistic;
// empty where none are.
std::string settle_running_stats(Config& config);

}  // namespace lockstep
