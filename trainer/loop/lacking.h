#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "comm/base/error.h"

namespace lockstep {

struct Lack {
  ExitCode code;
  std::string what;
};

// What the machine had too little of (memory, threads) where that is why `error` was thrown, with the
// remedies, and what the process leaves with: ExitCode::usage, or ExitCode::peer once it has done a step, as
// then the plan fits, and may fit again.
std::optional<Lack> lacking(const std::exception& error);

// The last step that this process has done; 0 where it has done none.
void plan_fits_at(std::int64_t step);

}  // namespace lockstep
