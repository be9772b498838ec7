#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lockstep {

// What `inspect --json` prints, for people: the tensors in groups (parameters, each kind of running
// statistics, the optimizer's state, the run's counters), how many values and bytes each group has, and the
// metadata, key by key. Long texts are cut; control characters of a stranger's file are not shown.
std::string inspect_table(const nlohmann::ordered_json& report);

}  // namespace lockstep
