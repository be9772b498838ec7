#pragma once

namespace lockstep {

// While one is alive, SIGUSR1 and SIGTERM ask the run to save and leave. After it SIGTERM does what it did
// before, and SIGUSR1 nothing: a launcher asks as often as it likes, and the run is over. One a process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
};

// While one is alive, the run is asked to stop once it has lived for so many seconds; 0: never. Rank 0 has
// it, so that one clock decides. One a process.
class TimeLimit {
 public:
  explicit TimeLimit(double seconds);
  ~TimeLimit();
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

  static bool is_over();
};

// Whether a signal or the time asks this process to stop. The workers then agree on the step.
bool stop_requested();

}  // namespace lockstep
