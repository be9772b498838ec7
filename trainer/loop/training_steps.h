#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/data/loader.h"
#include "trainer/loop/failures.h"
#include "trainer/loop/recorder.h"
#include "trainer/loop/session.h"
#include "trainer/loop/snapshot.h"
#include "trainer/loop/stopwatch.h"

namespace lockstep {

// The steps of a training run, one after the other: forward, backward, exchange and update. Each worker has
// one, and all of them call the same.
class TrainingSteps {
 public:
  // recorder: null but on rank 0.
  TrainingSteps(Communicator& comm, Session& session, Recorder* recorder, Failures& failures);

  // The next step begins, with waiting for its batch.
  void begin();
  // A step that diverged is kept for require_finite; with train.on_divergence: skip it is undone. Throws
  // DivergedError where too many in a row were.
  void take(const LoadedBatch& batch);
  // Once it is agreed that the last step counts.
  void record();
  // Throws DivergedError alike on all workers where the last step diverged on any of them; else records it.
  void require_finite();

 private:
  std::int64_t step() const { return session_.counters().step; }
  void train_on(const LoadedBatch& batch);
  void check_update() const;
  void undo(const std::string& why);
  std::vector<ModelTensor> tensors();

  Communicator& comm_;
  Session& session_;
  const Config& config_;
  Recorder* recorder_;
  Failures& failures_;
  Snapshot before_;                           // the last step; with train.on_divergence: skip
  Stopwatch stopwatch_;                       // of the step
  std::optional<Recorder::Trained> trained_;  // the last step, not recorded yet; on rank 0
};

}  // namespace lockstep
