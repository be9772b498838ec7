#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "trainer/config/schema.h"
#include "trainer/loop/evaluate.h"

// Which evaluation of a run is the best one.
namespace lockstep {

// What early stopping goes by: a part of the run's state.
struct EarlyStopping {
  std::int64_t step = 0;        // of the last evaluation that counted; 0: there was none yet
  std::int64_t best_step = 0;   // of the best one
  double best = 0;              // its metric
  std::int64_t not_better = 0;  // evaluations since
};

// What evaluation.metric says of an evaluation.
double metric_of(const Score& score, EvaluationConfig::Metric metric);

// Whether a metric is better than another by more than `by`. What is not a number is worse than anything
// else.
bool better(double metric, double other, EvaluationConfig::Metric kind, double by = 0);

// Counts the evaluation of a step.
void count_evaluation(EarlyStopping& state, std::int64_t step, const Score& score, const Config& config);

// An evaluation and the step it is of.
struct Evaluated {
  std::int64_t step = 0;
  Score score;
};

// Whether the first is to be kept rather than the second: it is better, or as good and of an earlier step. So
// which one is kept of several does not depend on the order in which they come, as a resumed run may meet
// them again.
bool is_kept_before(const Evaluated& one, const Evaluated& other, EvaluationConfig::Metric metric);

// The evaluation that a best.safetensors tells of in its metadata (describe_best); nothing where there is no
// such file, or it is broken: then it is written anew.
std::optional<Evaluated> read_best(const std::filesystem::path& file);

}  // namespace lockstep
