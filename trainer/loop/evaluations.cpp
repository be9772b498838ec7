#include "trainer/loop/evaluations.h"

#include <fmt/format.h>

#include <numeric>
#include <optional>

#include "comm/base/error.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/best.h"
#include "trainer/loop/identity.h"
#include "trainer/loop/precise.h"
#include "trainer/loop/setup.h"
#include "trainer/loop/stopwatch.h"

namespace lockstep {

Evaluations::Evaluations(Communicator& comm, Session& session, Recorder* recorder, Saver& saver,
                         Failures& failures)
    : comm_(comm),
      session_(session),
      config_(session.config()),
      recorder_(recorder),
      saver_(saver),
      failures_(failures),
      entries_(config_.normalization.running_stats.size()) {
  std::iota(entries_.begin(), entries_.end(), 0);
  if (config_.evaluation.batch_statistics) entries_.push_back(batch_statistics);
}

bool Evaluations::due() const {
  return is_due(config_.evaluation.every_epochs, config_.evaluation.every_steps, step(), session_.steps());
}

bool Evaluations::make_up() {
  const auto& early = session_.counters().early_stopping;
  const bool is_told = was_evaluated();
  const bool is_done = early ? early->step == step() : is_told;
  if (!is_done) evaluate(is_told);
  return early.has_value() && !is_done;
}

bool Evaluations::was_evaluated() {
  bool was = false;
  agree(comm_, "evaluated", [&] { was = recorder_ != nullptr && recorder_->was_evaluated(step()); });
  return from_rank_0(comm_, "evaluated", was ? 1 : 0) != 0;
}

void Evaluations::evaluate(bool is_told) {
  Recorder::Seconds taken;
  taken.precise = make_precise();
  const Stopwatch stopwatch;
  const auto scores = scores_of(entries_);
  std::optional<Score> averaged;
  if (const WeightAverage* const average = session_.average()) {
    const WeightAverage::InPlace in_place(*average, [&] { return session_.model().state(); });
    averaged = scores_of({0}).front();
  }
  taken.evaluation = stopwatch.seconds();
  auto& early = session_.counters().early_stopping;
  if (early) count_evaluation(*early, step(), scores[0], config_);
  if (config_.checkpoint.best) keep_best(scores[0]);
  if (recorder_ != nullptr && !is_told) {
    failures_.attempt(
        [&] { recorder_->evaluated(step(), scores, averaged, taken, session_.model().state()); });
  }
}

std::vector<Score> Evaluations::scores_of(const std::vector<std::size_t>& entries) {
  try {
    return lockstep::evaluate(comm_, session_.model(), session_.inputs().evaluated(),
                              session_.inputs().transform, config_.evaluation.batch, entries,
                              config_.data.threads);
  } catch (const DivergedError& error) {
    throw DivergedError(
        fmt::format("step {}: the evaluation diverged: {}; nothing was saved from it", step(), error.what()));
  }
}

void Evaluations::keep_best(const Score& score) {
  require_equal_state(comm_, step(), session_.state());
  saver_.best_model(score);
}

double Evaluations::make_precise() {
  if (session_.precise_is_current()) return 0;
  const Stopwatch stopwatch;
  failures_.attempt_finite([&] { lockstep::make_precise(comm_, session_); });
  failures_.require_finite();
  return stopwatch.seconds();
}

std::string Evaluations::why_early() const {
  const auto& early = session_.counters().early_stopping;
  if (!early || step() == session_.steps().total) return "";
  return fmt::format(
      "no evaluation was better than that of step {} ({} {:.4f}) for {} in a row: training ends early",
      early->best_step,
      config_.evaluation.metric == EvaluationConfig::Metric::loss ? "val_loss" : "val_accuracy", early->best,
      early->not_better);
}

}  // namespace lockstep
