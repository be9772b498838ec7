#include "trainer/loop/saver.h"

#include <fmt/format.h>

#include "comm/base/error.h"
#include "trainer/loop/agree.h"

namespace lockstep {
namespace {

constexpr int most_in_a_row = 3;

}  // namespace

Saver::Saver(Communicator& comm, Session& session, RunDirectory* directory, Recorder* recorder)
    : comm_(comm),
      session_(session),
      directory_(directory),
      recorder_(recorder),
      saved_step_(session.counters().step) {}

bool Saver::checkpoint() {
  const bool saved = attempt("checkpoint", [&] {
    write_left_best();
    write(directory_->checkpoint(step()), session_.saved_state(), session_.metadata());
    directory_->committed(step());
    prune();
  });
  if (saved) {
    saved_step_ = step();
    best_is_left_ = false;
  }
  return saved;
}

bool Saver::final_model() {
  return attempt("final model",
                 [&] { write(directory_->final_file(), session_.model().state(), session_.metadata()); });
}

bool Saver::averaged_model() {
  return attempt("averaged model", [&] {
    const WeightAverage::InPlace averaged(*session_.average(), [&] { return session_.model().state(); });
    write(directory_->averaged_file(), session_.model().state(), session_.metadata());
  });
}

void Saver::best_model(const Score& score) {
  best_is_left_ = !attempt("best model", [&] { write_best(score); });
}

void Saver::write_best(const Score& score) {
  if (!best_is_known_) best_ = read_best(directory_->best_file());
  best_is_known_ = true;
  const Evaluated now{step(), score};
  if (best_ && !is_kept_before(now, *best_, session_.config().evaluation.metric)) return write_left_best();
  best_ = now;
  const Metadata metadata = with_score(session_.metadata(), score);
  try {
    write(directory_->best_file(), session_.model().state(), metadata);
  } catch (const DataError&) {
    left_best_.take(session_.model().state());
    left_metadata_ = metadata;
    throw;
  }
}

void Saver::write_left_best() {
  if (!best_is_left_) return;
  write(directory_->best_file(), left_best_.taken(session_.model().state()), left_metadata_);
}

// Whoever resumes from the file must find the lines of its steps, so they come first.
void Saver::write(const std::filesystem::path& file, const std::vector<ModelTensor>& tensors,
                  const Metadata& metadata) {
  recorder_->sync();
  save_tensors(file, tensors, metadata);
}

bool Saver::attempt(std::string_view name, const std::function<void()>& save) {
  comm_.set_phase(fmt::format("{} of step {}", name, step()));
  int& in_a_row = failures_in_a_row_[std::string(name)];
  try {
    agree(comm_, name, [&] {
      if (directory_ == nullptr) return;
      try {
        save();
      } catch (const DataError& error) {
        throw DataError(fmt::format("{}; {}", error.what(), what_loads()));
      }
    });
    in_a_row = 0;
    return true;
  } catch (const DataError& error) {
    ++failures_;
    if (++in_a_row == most_in_a_row) {
      throw DataError(fmt::format(
          "step {}: the {} could not be saved, the failure number {} in a row: {}. Mend that, and go on "
          "with --resume",
          step(), name, most_in_a_row, error.what()));
    }
    if (recorder_ != nullptr) {
      recorder_->warn(
          fmt::format("step {}: the {} could not be saved, failure {} in a row of {} that end the run: {}",
                      step(), name, in_a_row, most_in_a_row, error.what()));
    }
    return false;
  }
}

// The new checkpoint is there, so an old one that cannot be deleted is no failure of the save.
void Saver::prune() {
  try {
    directory_->prune(step(), session_.config().checkpoint.keep);
  } catch (const DataError& error) {
    recorder_->warn(
        fmt::format("step {}: the checkpoint was saved, but an old one is left: {}", step(), error.what()));
  }
}

std::string Saver::what_loads() const {
  try {
    const auto latest = directory_->latest();
    return latest ? fmt::format("{} is whole, and loads", latest->string())
                  : "there is no checkpoint to go on from yet";
  } catch (const DataError&) {
    return "nor can the checkpoints be listed";
  }
}

std::string Saver::failures() const {
  if (failures_ == 0) return "";
  return fmt::format("; {} save{} failed", failures_, failures_ == 1 ? "" : "s");
}

}  // namespace lockstep
