#pragma once

#include <exception>
#include <string>

namespace lockstep {

// What the machine had too little of (memory, threads) where that is why `error` was thrown, with the
// remedies; empty for any other error. The process leaves with ExitCode::usage then.
std::string lacking(const std::exception& error);

}  // namespace lockstep
