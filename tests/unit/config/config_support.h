#pragma once

#include <string>
#include <vector>

#include "comm/base/error.h"
#include "trainer/config/config.h"

namespace lockstep {

using Settings = std::vector<std::string>;

inline Config parse(const std::string& yaml, const Settings& settings = {}) {
  return parse_config(yaml, "a.yaml", settings);
}

// What a user is told about this configuration; "" where it is right.
inline std::string mistakes(const std::string& yaml, const Settings& settings = {}) {
  try {
    parse(yaml, settings);
    return "";
  } catch (const UsageError& error) {
    return error.what();
  }
}

}  // namespace lockstep
