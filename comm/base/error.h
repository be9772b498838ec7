#pragma once

#include <stdexcept>
#include <string>

namespace lockstep {

// What a worker answers to its launcher. Users hold these numbers; they stay below 126, which shells use.
enum class ExitCode : int {
  done = 0,
  bug = 1,       // ours, with where it happened
  usage = 2,     // the command line or the config is wrong, or the plan does not fit in memory
  data = 3,      // data, a checkpoint or the run directory is missing, corrupt, in use or does not fit
  peer = 4,      // a worker died, hung, fell out of step, or ran out of memory after a step
  diverged = 5,  // NaN or infinity
  differ = 6,    // `compare`: the runs differ
  stopped = 75,  // asked to stop; a checkpoint was saved, run again with --resume
};

// Every error that reaches a user. The message says what is wrong, where, and what would be right.
// Only `main` and the watchdog end the process.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};

class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};

// A collective failed. After it the communicator's handles are abandoned, not freed.
class CommError : public Error {
 public:
  explicit CommError(const std::string& message) : Error(ExitCode::peer, message) {}
};

class DivergedError : public Error {
 public:
  explicit DivergedError(const std::string& message) : Error(ExitCode::diverged, message) {}
};

}  // namespace lockstep
