#pragma once

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/loop/evaluate.h"
#include "trainer/loop/failures.h"
#include "trainer/loop/recorder.h"
#include "trainer/loop/saver.h"
#include "trainer/loop/session.h"

namespace lockstep {

// The evaluations of a training run and what follows from them: `precise` statistics before, the averaged
// model, the best one, early stopping. Each worker has one, and all of them call the same.
class Evaluations {
 public:
  // recorder: null but on rank 0.
  Evaluations(Communicator& comm, Session& session, Recorder* recorder, Saver& saver, Failures& failures);

  // After the step that the session is at.
  bool due() const;
  // The line of metrics.jsonl comes last, so that where it is, what it stands for was done. is_told: it is
  // there. Throws DivergedError alike on all workers.
  void evaluate(bool is_told = false);
  // Does what is missing of the evaluation that was due where the run goes on. Answers whether early stopping
  // has counted it now, which the checkpoint does not know.
  bool make_up();

  // Brings `precise` statistics, if any are kept, to the weights of this step: before anybody uses them, and
  // before every save that has the time, so that a checkpoint does not tell when evaluations were. Frozen
  // ones stay. Answers the seconds it took, 0 where there was nothing to do.
  double make_precise();

  // Why training ends before its schedule does; empty where it does not.
  std::string why_early() const;

 private:
  std::int64_t step() const { return session_.counters().step; }
  bool was_evaluated();
  std::vector<Score> scores_of(const std::vector<std::size_t>& entries);
  void keep_best(const Score& score);

  Communicator& comm_;
  Session& session_;
  const Config& config_;
  Recorder* recorder_;
  Saver& saver_;
  Failures& failures_;
  std::vector<std::size_t> entries_;  // of running statistics, all that are to be evaluated
};

}  // namespace lockstep
