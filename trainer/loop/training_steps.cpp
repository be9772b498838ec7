#include "trainer/loop/training_steps.h"

#include <fmt/format.h>

#include <span>

#include "comm/base/error.h"
#include "trainer/loop/digests.h"
#include "trainer/optim/clip.h"
#include "trainer/optim/schedule.h"

namespace lockstep {
namespace {

constexpr std::int64_t most_skipped_in_a_row = 10;

}  // namespace

TrainingSteps::TrainingSteps(Communicator& comm, Session& session, Recorder* recorder, Failures& failures)
    : comm_(comm), session_(session), config_(session.config()), recorder_(recorder), failures_(failures) {}

void TrainingSteps::begin() {
  stopwatch_ = {};
  comm_.set_phase(fmt::format("step {}", step() + 1));
  if (comm_.trace() != nullptr) comm_.trace()->begin_step(step() + 1);
}

void TrainingSteps::take(const LoadedBatch& batch) {
  if (config_.train.on_divergence == TrainConfig::OnDivergence::stop) return train_on(batch);
  before_.take(session_.state());
  train_on(batch);
  try {
    require_finite();
    session_.counters().skipped_in_a_row = 0;
  } catch (const DivergedError& error) {
    undo(error.what());
  }
}

// All workers diverge alike, unless the memory of one failed. So a divergence is kept until it is told to
// all, and nothing is made of the weights before that.
void TrainingSteps::train_on(const LoadedBatch& batch) {
  Model& model = session_.model();
  Recorder::Trained trained;
  trained.lr = learning_rate(config_.schedule, config_.optimizer.lr, session_.steps().per_epoch, step());
  const bool finite = failures_.attempt_finite([&] {
    trained.sums = model.train_step(comm_, session_.reducer(), batch.input(), step());
    const TraceSpan span(comm_.trace(), "work", "optimizer");
    trained.grad_norm = clip_gradients(config_.optimizer, model.device_gradients(), model.device());
    session_.optimizer().update(model.device_arena(), model.device_gradients(), trained.lr, step());
    check_update();
  });
  ++session_.counters().step;
  if (finite) session_.update_average();
  trained.seconds = stopwatch_.seconds();
  if (recorder_ != nullptr) trained_ = trained;
}

// Of a step that is not counted yet.
void TrainingSteps::check_update() const {
  Model& model = session_.model();
  std::string bad = model.first_not_finite(model.device_arena());
  if (const auto state = session_.optimizer().overflows_unseen(); bad.empty() && state) {
    bad = model.first_not_finite(state->values);
    if (!bad.empty()) bad += "'s " + state->name;
  }
  if (bad.empty()) return;
  throw DivergedError(
      fmt::format("step {}: {} is no longer finite, the first such tensor of the model; nothing was saved "
                  "from it. A smaller optimizer.lr or a longer schedule.warmup_epochs may help",
                  step() + 1, bad));
}

// All workers have heard of the divergence, so all of them undo the step.
void TrainingSteps::undo(const std::string& why) {
  before_.restore(session_.state());
  failures_.forget_divergence();
  trained_.reset();
  Counters& counters = session_.counters();
  ++counters.step;
  if (++counters.skipped_in_a_row == most_skipped_in_a_row) {
    throw DivergedError(
        fmt::format("{}. With it {} steps in a row diverged; train.on_divergence: skip gives up", why,
                    most_skipped_in_a_row));
  }
  const std::int64_t skipped = ++counters.skipped;
  if (recorder_ != nullptr) failures_.attempt([&] { recorder_->skipped(step(), why, skipped); });
}

void TrainingSteps::record() {
  if (!trained_) return;
  failures_.attempt([&] {
    recorder_->trained(step(), *trained_);
    const std::int64_t every = config_.train.digest_every;
    if (every > 0 && step() % every == 0) recorder_->digested(digest_line(step(), tensors()));
  });
  trained_.reset();
}

void TrainingSteps::require_finite() {
  failures_.require_finite();
  record();
}

// Model and optimizer, without the counters and what evaluations make anew.
std::vector<ModelTensor> TrainingSteps::tensors() {
  std::vector<ModelTensor> all = session_.state();
  std::erase_if(
      all, [](const ModelTensor& tensor) { return tensor.derived || tensor.name.starts_with("train."); });
  return all;
}

}  // namespace lockstep
