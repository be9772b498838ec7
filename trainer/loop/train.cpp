#include "trainer/loop/train.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <stdexcept>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/watch/life.h"
#include "trainer/config/config.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/evaluations.h"
#include "trainer/loop/failures.h"
#include "trainer/loop/identity.h"
#include "trainer/loop/lacking.h"
#include "trainer/loop/launch_report.h"
#include "trainer/loop/recorder.h"
#include "trainer/loop/saver.h"
#include "trainer/loop/session.h"
#include "trainer/loop/start.h"
#include "trainer/loop/stop.h"
#include "trainer/loop/tracing.h"
#include "trainer/loop/training_steps.h"

namespace lockstep {
namespace {

// The loop of one worker. What only rank 0 has (run directory and recorder) is null on the others.
class Training {
 public:
  Training(Communicator& comm, Session& session, RunDirectory* directory, Recorder* recorder)
      : comm_(comm),
        session_(session),
        config_(session.config()),
        directory_(directory),
        recorder_(recorder),
        saver_(comm, session, directory, recorder),
        failures_(comm),
        steps_(comm, session, recorder, failures_),
        evaluations_(comm, session, recorder, saver_, failures_) {
    plan_fits_at(0);
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
      steps_.take(*batch);
      plan_fits_at(step());
      if (check_due()) {
        steps_.require_finite();
        check_identity();
      }
      if (evaluations_.due()) {
        steps_.require_finite();
        evaluations_.evaluate();
      }
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
    const bool counted = evaluations_.due() && evaluations_.make_up();
    if ((checkpoint_due() || session_.is_over()) && (incomplete || counted || saver_.best_is_left()))
      save(session_.is_over());
  }

  bool checkpoint_due() const {
    return is_due(config_.checkpoint.every_epochs, config_.checkpoint.every_steps, step(), session_.steps());
  }

  Loader open_loader() {
    const Inputs& inputs = session_.inputs();
    return Loader::training(inputs.data.train, inputs.transform, session_.model().layout(), config_.seed,
                            config_.batch.global, config_.data.drop_last, step(), session_.steps().total,
                            config_.data.threads, session_.model().options().device);
  }

  // Between two steps all workers hear of a failure, and of a wish to stop, of any of them. `fetch` brings
  // the next batch.
  template <class Fetch>
  bool asked_to_stop(const Fetch& fetch) {
    enum : std::int64_t { go_on, leave, failed };
    steps_.begin();
    failures_.attempt([&] {
      const TraceSpan span(comm_.trace(), "work", "next batch");
      fetch();
    });
    const std::int64_t mine = failures_.any() ? failed : stop_requested() ? leave : go_on;
    const std::int64_t all = largest(comm_, "go on", mine);
    if (all == failed) failures_.require_none();
    steps_.record();
    return all == leave;
  }

  void freeze_if_due() {
    if (step() < session_.freeze_step().value_or(session_.steps().total)) return;
    if (step() == session_.freeze_step()) evaluations_.make_precise();
    session_.model().freeze_statistics();
  }

  bool check_due() const {
    const std::int64_t every = config_.comm.check_every;
    return every > 0 && step() % every == 0;
  }

  // Every save begins with it, so that what rank 0 writes is what all of them hold.
  void check_identity() { require_equal_state(comm_, step(), session_.state()); }

  // `must`: this one may not wait for the next that is due.
  void save(bool must) {
    steps_.require_finite();
    evaluations_.make_precise();
    save_as_it_is(must);
  }

  void save_as_it_is(bool must) {
    steps_.require_finite();
    check_identity();
    while (!saver_.checkpoint() && must) continue;
  }

  // Asked for by somebody who waits, so it makes nothing anew.
  Outcome stop() {
    if (saver_.saved_step() != step() || step() == 0 || saver_.best_is_left()) save_as_it_is(true);
    failures_.require_none();
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
    failures_.require_none();
    evaluations_.make_precise();
    check_identity();
    // The final model tells that the run is over, so it comes last.
    while (session_.average() != nullptr && !saver_.averaged_model()) continue;
    while (!saver_.final_model()) continue;
    if (recorder_ == nullptr) return;
    if (const std::string why = evaluations_.why_early(); !why.empty()) recorder_->say(why);
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
  Failures failures_;
  TrainingSteps steps_;
  Evaluations evaluations_;
};

void say_start(const RunDirectory& directory, Recorder& recorder, Start start, std::int64_t step) {
  if (start == Start::resumed) {
    recorder.say(fmt::format("resuming {} after step {}", directory.path().string(), step));
  } else {
    recorder.say(fmt::format("writing {}", directory.path().string()));
  }
}

}  // namespace

Outcome train(Communicator& comm, const Config& config, RunDirectory::Open open, const std::string& trace,
              const OpenDevice& open_device) {
  std::optional<TimeLimit> limit;
  if (comm.rank() == 0) limit.emplace(config.train.max_time);
  comm.set_phase("start");
  require_equal_hosts(comm);
  require_equal_configs(comm, config);
  report_launch(comm, config);
  Tracing tracing(comm, trace, config.threads);
  Session session(comm, config, open_inputs(comm, config), open_device);
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
    if (start == Start::afresh) own->remove_kept_models();
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
