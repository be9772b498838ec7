#pragma once

#include <string>

#include "trainer/config/entry.h"

namespace lockstep {

// A value as YAML on one line: {name: conv1, out: 16}. Words stand without quotes where YAML lets them.
std::string flow_yaml(const Json& value);

// A map as YAML, a key a line: maps in it as blocks, whatever else fits the line on one.
std::string block_yaml(const Json& map);

}  // namespace lockstep
