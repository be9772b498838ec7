#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "comm/communicator.h"
#include "trainer/checkpoint/run_directory.h"
#include "trainer/loop/best.h"
#include "trainer/loop/recorder.h"
#include "trainer/loop/session.h"

namespace lockstep {

// Writes what a run leaves behind. Only rank 0 does; all workers call it and hear how it went. A save that
// fails (a full disk, a broken one) harms nothing that was saved before and is warned of. What may wait is
// tried again when the next save is due; the third failure in a row is a DataError, alike on all workers.
class Saver {
 public:
  // Directory and recorder are rank 0's, null on the others.
  Saver(Communicator& comm, Session& session, RunDirectory* directory, Recorder* recorder);

  // Each answers whether it was saved.
  bool checkpoint();
  bool final_model();
  bool averaged_model();  // with train.weight_ema
  // Keeps the model as it was evaluated, unless a better one is kept already: answers false only where that
  // failed.
  bool best_model(const Score& score);

  std::int64_t saved_step() const { return saved_step_; }  // of the newest checkpoint
  std::string failures() const;                            // "; 2 saves failed", or nothing

 private:
  bool attempt(std::string_view name, const std::function<void()>& write);
  void prune();
  std::string what_loads() const;
  std::int64_t step() { return session_.counters().step; }

  Communicator& comm_;
  Session& session_;
  RunDirectory* directory_;
  Recorder* recorder_;
  std::int64_t saved_step_;
  std::optional<Evaluated> best_;  // what best.safetensors is of; read when it is first asked for
  bool best_is_known_ = false;
  int failures_ = 0;
  int failures_in_a_row_ = 0;
};

}  // namespace lockstep
