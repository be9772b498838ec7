#pragma once

namespace lockstep {

// While one is alive, SIGUSR1 and SIGTERM ask the run to save and leave instead of ending the process.
// One a process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static bool requested();
};

}  // namespace lockstep
