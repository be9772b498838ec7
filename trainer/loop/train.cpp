#include "trainer/loop/train.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/watch/life.h"
#include "layers/ops/elementwise.h"
#include "trainer/config/config.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/evaluate.h"
#include "trainer/loop/identity.h"
#include "trainer/loop/launch_report.h"
#include "trainer/loop/precise.h"
#include "trainer/loop/recorder.h"
#include "trainer/loop/saver.h"
#include "trainer/loop/session.h"
#include "trainer/loop/snapshot.h"
#include "trainer/loop/start.h"
#include "trainer/loop/stop.h"
#include "trainer/loop/tracing.h"
#include "trainer/optim/clip.h"
#include "trainer/optim/schedule.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr std::int64_t most_skipped_in_a_row = 10;

// Whether something that happens every so many epochs or steps, and at the end, happens after `step` steps.
bool due(const std::optional<std::int64_t>& every_epochs, const std::optional<std::int64_t>& every_steps,
         std::int64_t step, const StepCount& steps) {
  const std::int64_t every = every_steps ? *every_steps : every_epochs.value_or(1) * steps.per_epoch;
  return step == steps.total || step % every == 0;
}

// The loop of one worker. What only rank 0 has (run directory and recorder) is null on the others.
class Training {
 public:
  Training(Communicator& comm, Session& session, RunDirectory* directory, Recorder* recorder)
      : comm_(comm),
        session_(session),
        config_(session.config()),
        directory_(directory),
        recorder_(recorder),
        saver_(comm, session, directory, recorder) {
    entries_.resize(config_.normalization.running_stats.size());
    std::iota(entries_.begin(), entries_.end(), 0);
    if (config_.evaluation.batch_statistics) entries_.push_back(batch_statistics);
  }

  Outcome run() {
    try {
      make_up();
      return train_to_end();
    } catch (const Error& error) {
      if (error.code() != ExitCode::stopped) throw;
      return stop();
    }
  }

 private:
  std::int64_t step() const { return session_.counters().step; }

  Outcome train_to_end() {
    Loader loader = open_loader();
    while (!session_.is_over()) {
      const LoadedBatch* batch = nullptr;
      const auto fetch = [&] {
        batch = loader.next();
        if (batch == nullptr) throw std::logic_error("the loader ended before the run");
      };
      if (asked_to_stop(fetch)) return stop();
      freeze_if_due();
      train_or_skip(*batch);
      if (check_due()) {
        require_finite();
        check_identity();
      }
      if (evaluation_due()) evaluate();
      if (checkpoint_due() || session_.is_over()) save(session_.is_over());
      if (step() == config_.train.stop_at_step && !session_.is_over()) {
        if (saver_.saved_step() != step()) save(true);
        return stop();
      }
    }
    finish();
    return Outcome::finished;
  }

  // What was due after the step that the run goes on from, and was left when it was asked to stop.
  void make_up() {
    if (step() == 0) return;
    const bool incomplete = !session_.precise_is_current();
    const bool counted = evaluation_due() && make_up_evaluation();
    if ((checkpoint_due() || session_.is_over()) && (incomplete || counted)) save(session_.is_over());
  }

  // Answers whether early stopping has counted it now, which the checkpoint does not know.
  bool make_up_evaluation() {
    const auto& early = session_.counters().early_stopping;
    const bool is_told = was_evaluated();
    const bool is_done = early ? early->step == step() : is_told;
    if (!is_done) evaluate(is_told);
    return early.has_value() && !is_done;
  }

  bool was_evaluated() {
    bool was = false;
    agree(comm_, "evaluated", [&] { was = recorder_ != nullptr && recorder_->was_evaluated(step()); });
    return from_rank_0(comm_, "evaluated", was ? 1 : 0) != 0;
  }

  bool evaluation_due() const {
    return due(config_.evaluation.every_epochs, config_.evaluation.every_steps, step(), session_.steps());
  }
  bool checkpoint_due() const {
    return due(config_.checkpoint.every_epochs, config_.checkpoint.every_steps, step(), session_.steps());
  }

  Loader open_loader() {
    const Inputs& inputs = session_.inputs();
    return Loader::training(inputs.data.train, inputs.transform, session_.model().layout(), config_.seed,
                            config_.batch.global, config_.data.drop_last, step(), session_.steps().total,
                            config_.data.threads);
  }

  // Does what may fail on this worker alone. The failure is kept until `asked_to_stop` tells all of it.
  template <class Work>
  void attempt(const Work& work) {
    try {
      if (!failure_) work();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  // Between two steps all workers hear of a failure, and of a wish to stop, of any of them. `fetch` brings
  // the next batch.
  template <class Fetch>
  bool asked_to_stop(const Fetch& fetch) {
    enum : std::int64_t { go_on, leave, failed };
    step_start_ = Clock::now();
    comm_.set_phase(fmt::format("step {}", step() + 1));
    if (comm_.trace() != nullptr) comm_.trace()->begin_step(step() + 1);
    attempt([&] {
      const TraceSpan span(comm_.trace(), "work", "next batch");
      fetch();
    });
    const std::int64_t mine = failure_ || divergence_ ? failed : stop_requested() ? leave : go_on;
    const std::int64_t all = largest(comm_, "go on", mine);
    if (all == failed) raise_failure();
    record();
    return all == leave;
  }

  void raise_failure() {
    agree(comm_, "failure", [&] {
      if (divergence_) std::rethrow_exception(divergence_);
      if (failure_) std::rethrow_exception(failure_);
    });
  }

  void train_or_skip(const LoadedBatch& batch) {
    if (config_.train.on_divergence == TrainConfig::OnDivergence::stop) return train_on(batch);
    before_.take(session_.state());
    train_on(batch);
    try {
      require_finite();
      session_.counters().skipped_in_a_row = 0;
    } catch (const DivergedError& error) {
      skip(error.what());
    }
  }

  // All workers have heard of the divergence, so all of them undo the step.
  void skip(const std::string& why) {
    before_.restore(session_.state());
    divergence_ = nullptr;
    trained_.reset();
    Counters& counters = session_.counters();
    ++counters.step;
    if (++counters.skipped_in_a_row == most_skipped_in_a_row) {
      throw DivergedError(
          fmt::format("{}. With it {} steps in a row diverged; train.on_divergence: skip gives up", why,
                      most_skipped_in_a_row));
    }
    const std::int64_t skipped = ++counters.skipped;
    if (recorder_ != nullptr) attempt([&] { recorder_->skipped(step(), why, skipped); });
  }

  // All workers diverge alike, unless the memory of one failed. So a divergence is kept until it is told to
  // all, and nothing is made of the weights before that.
  void train_on(const LoadedBatch& batch) {
    Model& model = session_.model();
    const double lr =
        learning_rate(config_.schedule, config_.optimizer.lr, session_.steps().per_epoch, step());
    Recorder::Trained trained;
    trained.lr = lr;
    try {
      trained.sums = model.train_step(comm_, session_.reducer(), batch.input(), step());
      const TraceSpan span(comm_.trace(), "work", "optimizer");
      trained.grad_norm = clip_gradients(config_.optimizer, model.gradients());
      session_.optimizer().update(model.arena(), model.gradients(), lr, step());
      check_weights();
    } catch (const DivergedError&) {
      divergence_ = std::current_exception();
    }
    ++session_.counters().step;
    if (!divergence_) session_.update_average();
    trained.seconds = since(step_start_);
    if (recorder_ != nullptr) trained_ = trained;
  }

  // Once it is agreed that the last step counts.
  void record() {
    if (!trained_) return;
    attempt([&] {
      recorder_->trained(step(), *trained_);
      const std::int64_t every = config_.train.digest_every;
      if (every > 0 && step() % every == 0) recorder_->digested(digest_line(step(), tensors()));
    });
    trained_.reset();
  }

  // Model and optimizer, without the counters and what evaluations make anew.
  std::vector<ModelTensor> tensors() {
    std::vector<ModelTensor> all = session_.state();
    std::erase_if(
        all, [](const ModelTensor& tensor) { return tensor.derived || tensor.name.starts_with("train."); });
    return all;
  }

  void freeze_if_due() {
    if (step() < session_.freeze_step().value_or(session_.steps().total)) return;
    if (step() == session_.freeze_step()) make_precise();
    session_.model().freeze_statistics();
  }

  // Brings `precise` statistics, if any are kept, to the weights of this step: before anybody uses them, and
  // before every save that has the time, so that a checkpoint does not tell when evaluations were. Frozen
  // ones stay. Answers the seconds it took, 0 where there was nothing to do.
  double make_precise() {
    if (session_.precise_is_current()) return 0;
    const auto start = Clock::now();
    try {
      lockstep::make_precise(comm_, session_);
    } catch (const DivergedError&) {
      divergence_ = std::current_exception();
    }
    require_finite();
    return since(start);
  }

  // The line of metrics.jsonl comes last, so that where it is, what it stands for was done. `is_told`: it is
  // there.
  void evaluate(bool is_told = false) {
    require_finite();
    Recorder::Seconds taken;
    taken.precise = make_precise();
    const auto start = Clock::now();
    const auto scores = evaluated(entries_);
    std::optional<Score> averaged;
    if (const WeightAverage* const average = session_.average()) {
      const WeightAverage::InPlace in_place(*average, session_.model().state());
      averaged = evaluated({0}).front();
    }
    taken.evaluation = since(start);
    auto& early = session_.counters().early_stopping;
    if (early) count_evaluation(*early, step(), scores[0], config_);
    if (config_.checkpoint.best) keep_best(scores[0]);
    if (recorder_ != nullptr && !is_told) {
      attempt([&] { recorder_->evaluated(step(), scores, averaged, taken, session_.model().state()); });
    }
  }

  std::vector<Score> evaluated(const std::vector<std::size_t>& entries) {
    return lockstep::evaluate(comm_, session_.model(), session_.inputs().evaluated(),
                              session_.inputs().transform, config_.evaluation.batch, entries,
                              config_.data.threads);
  }

  void keep_best(const Score& score) {
    check_identity();
    while (!saver_.best_model(score)) continue;
  }

  void require_finite() {
    agree(comm_, "divergence", [&] {
      if (divergence_) std::rethrow_exception(divergence_);
    });
    record();
  }

  // Of a step that is not counted yet.
  void check_weights() {
    const std::span<const float> arena = session_.model().arena();
    if (all_finite(arena)) return;
    for (const Parameter& parameter : session_.model().parameters()) {
      if (all_finite(arena.subspan(parameter.offset, parameter.count()))) continue;
      throw DivergedError(fmt::format(
          "step {}: {} is no longer finite, the first such tensor of the model; nothing was saved "
          "from it. A smaller optimizer.lr or a longer schedule.warmup_epochs may help",
          step() + 1, parameter.name));
    }
  }

  bool check_due() const {
    const std::int64_t every = config_.comm.check_every;
    return every > 0 && step() % every == 0;
  }

  // Every save begins with it, so that what rank 0 writes is what all of them hold.
  void check_identity() { require_equal_state(comm_, step(), session_.state()); }

  // `must`: this one may not wait for the next that is due.
  void save(bool must) {
    require_finite();
    make_precise();
    save_as_it_is(must);
  }

  void save_as_it_is(bool must) {
    require_finite();
    check_identity();
    while (!saver_.checkpoint() && must) continue;
  }

  // Asked for by somebody who waits, so it makes nothing anew.
  Outcome stop() {
    if (saver_.saved_step() != step() || step() == 0) save_as_it_is(true);
    raise_failure();
    if (recorder_ != nullptr) {
      recorder_->summarize();
      recorder_->say(fmt::format(
          "stopped after step {} of {}{}, and saved; go on with --resume{}", step(), session_.steps().total,
          TimeLimit::is_over() ? ", as train.max_time was over" : "", saver_.failures()));
    }
    return Outcome::stopped;
  }

  void finish() {
    comm_.set_phase("end");
    raise_failure();
    make_precise();
    check_identity();
    // The final model tells that the run is over, so it comes last.
    while (session_.average() != nullptr && !saver_.averaged_model()) continue;
    while (!saver_.final_model()) continue;
    if (recorder_ == nullptr) return;
    const auto& early = session_.counters().early_stopping;
    if (early && step() < session_.steps().total) {
      recorder_->say(fmt::format(
          "no evaluation was better than that of step {} ({} {:.4f}) for {} in a row: training ends early",
          early->best_step,
          config_.evaluation.metric == EvaluationConfig::Metric::loss ? "val_loss" : "val_accuracy",
          early->best, early->not_better));
    }
    recorder_->summarize();
    recorder_->say(fmt::format("finished {} steps at {:.0f} images/s; {}{}", step(),
                               recorder_->images_per_s(), directory_->final_file().string(),
                               saver_.failures()));
  }

  Communicator& comm_;
  Session& session_;
  const Config& config_;
  RunDirectory* directory_;
  Recorder* recorder_;
  Saver saver_;
  std::vector<std::size_t> entries_;
  Snapshot before_;                           // the last step; with train.on_divergence: skip
  Clock::time_point step_start_;              // when its batch was first waited for
  std::optional<Recorder::Trained> trained_;  // the last step, not recorded yet; on rank 0
  std::exception_ptr divergence_;             // of the last step
  std::exception_ptr failure_;
};

void say_start(const RunDirectory& directory, Recorder& recorder, Start start, std::int64_t step) {
  if (start == Start::resumed) {
    recorder.say(fmt::format("resuming {} after step {}", directory.path().string(), step));
  } else {
    recorder.say(fmt::format("writing {}", directory.path().string()));
  }
}

}  // namespace

Outcome train(Communicator& comm, const Config& config, RunDirectory::Open open, const std::string& trace) {
  std::optional<TimeLimit> limit;
  if (comm.rank() == 0) limit.emplace(config.train.max_time);
  comm.set_phase("start");
  require_equal_hosts(comm);
  require_equal_configs(comm, config);
  report_launch(comm, config);
  Tracing tracing(comm, trace, config.threads);
  Session session(comm, config, open_inputs(comm, config));
  comm.set_phase("start");
  const bool resume = open == RunDirectory::Open::resume;
  if (!resume) begin(comm, session);

  // Last of what may fail, because it is the first that changes anything.
  std::optional<RunDirectory> directory;
  agree(comm, "run directory", [&] {
    const auto asked_to_stop = [] {
      alive();
      return stop_requested();
    };
    if (comm.rank() == 0) directory.emplace(config.run_dir, open, comm.timeout(), asked_to_stop);
  });
  RunDirectory* const own = directory ? &*directory : nullptr;
  const Start start = resume ? find_start(comm, own, session) : Start::afresh;
  if (start == Start::finished) {
    if (own != nullptr) spdlog::info("{} is finished: {}", config.run_dir, own->final_file().string());
    return Outcome::finished;
  }

  std::optional<Recorder> recorder;
  agree(comm, "run files", [&] {
    if (own == nullptr) return;
    own->write_text(own->config(), to_yaml(config));
    recorder.emplace(*own, config, session.steps(), session.counters().step);
    say_start(*own, *recorder, start, session.counters().step);
  });
  const Outcome outcome = Training(comm, session, own, recorder ? &*recorder : nullptr).run();
  tracing.write();
  comm.barrier(Lane::statistics, "leave").wait();
  return outcome;
}

}  // namespace lockstep
