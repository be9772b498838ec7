#pragma once

namespace lockstep {

// While one is alive, SIGUSR1 and SIGTERM ask the run to save and leave instead of what they
// did before, and will do after: a launcher may have had SIGUSR1 ignored, to ask as often as it likes.
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
