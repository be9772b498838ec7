#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "layers/model/model.h"
#include "trainer/checkpoint/run_directory.h"
#include "trainer/config/schema.h"
#include "trainer/loop/evaluate.h"
#include "trainer/loop/setup.h"
#include "trainer/metrics/event_file.h"
#include "trainer/metrics/metrics.h"

namespace lockstep {

// What a run tells while it goes on: metrics.jsonl, digests.jsonl, TensorBoard's events, the progress line.
// Rank 0 has one.
// Steps are told as finished steps, from 1.
class Recorder {
 public:
  // Drops lines beyond `first_step`, where the run goes on.
  Recorder(const RunDirectory& directory, const Config& config, const StepCount& steps,
           std::int64_t first_step);

  struct Trained {
    BatchSums sums;
    double lr = 0;
    std::optional<double> grad_norm;  // before clipping; none: nothing is clipped
    double seconds = 0;
  };
  void trained(std::int64_t step, const Trained& trained);
  // The step was undone; why: the divergence. skipped: such steps so far.
  void skipped(std::int64_t step, const std::string& why, std::int64_t skipped);
  // seconds: what the evaluation took, and making `precise` statistics before it (0: none were made).
  struct Seconds {
    double evaluation = 0;
    double precise = 0;
  };
  // scores: one an entry of normalization.running_stats, then, with evaluation.batch_statistics, the batches'
  // own. averaged: of the averaged model, if there is one. state: the model's that was evaluated, of which
  // the running statistics are told.
  void evaluated(std::int64_t step, const std::vector<Score>& scores, const std::optional<Score>& averaged,
                 const Seconds& seconds, const std::vector<ModelTensor>& state);
  // Whether that was told of the step, by this run or before it was resumed.
  bool was_evaluated(std::int64_t step) const { return metrics_.holds(step, "val_loss"); }
  void digested(const std::string& line);
  // A line on standard error, beside the progress line.
  void say(const std::string& text);
  void warn(const std::string& text);
  // A table of the whole run, for who looks on.
  void summarize();

  // Brings the lines so far to the disk. A line that could not be written when it came was warned of and
  // kept; one that still cannot is a DataError.
  void sync();

  double images_per_s() const;  // of the training steps so far

 private:
  struct Pace {
    std::int64_t images = 0;
    double seconds = 0;
    double images_per_s() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
  };

  // What a line of metrics.jsonl tells, there and in the events.
  void tell(const nlohmann::ordered_json& line);
  void attempt(const std::function<void()>& write);
  std::int64_t epoch(std::int64_t step) const { return (step - 1) / steps_.per_epoch + 1; }

  const Config& config_;
  StepCount steps_;
  JsonLines metrics_;
  std::optional<JsonLines> digests_;  // with train.digest_every
  EventFile events_;
  Progress progress_;
  Pace since_line_;
  Pace whole_;
  bool behind_ = false;  // some lines could not be written yet
};

}  // namespace lockstep
