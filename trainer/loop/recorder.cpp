#include "trainer/loop/recorder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/log.h"

namespace lockstep {

using nlohmann::ordered_json;

Recorder::Recorder(const RunDirectory& directory, const Config& config, const StepCount& steps,
                   std::int64_t first_step)
    : config_(config), steps_(steps), metrics_(directory.metrics(), first_step), progress_(true, first_step) {
  if (config.train.digest_every > 0) digests_.emplace(directory.digests(), first_step);
}

void Recorder::trained(std::int64_t step, const Trained& trained) {
  const BatchSums& sums = trained.sums;
  for (Pace* pace : {&since_line_, &whole_}) {
    pace->images += sums.samples;
    pace->seconds += trained.seconds;
  }
  const auto samples = static_cast<double>(sums.samples);
  const double loss = sums.loss / samples;
  const double accuracy = sums.correct / samples;

  if (step % config_.train.log_every == 0 || step == steps_.total) {
    ordered_json line{{"step", step},     {"epoch", epoch(step)},
                      {"loss", loss},     {"accuracy", accuracy},
                      {"lr", trained.lr}, {"images_per_s", since_line_.images_per_s()}};
    if (trained.grad_norm) line["grad_norm"] = *trained.grad_norm;
    write(metrics_, line.dump());
    since_line_ = {};
  }

  Progress::State state;
  state.step = step;
  state.total_steps = steps_.total;
  state.epoch = epoch(step);
  state.epochs = epoch(steps_.total);
  state.loss = loss;
  state.accuracy = accuracy;
  state.images_per_s = whole_.images_per_s();
  state.lr = trained.lr;
  progress_.update(state);
}

void Recorder::evaluated(std::int64_t step, const std::vector<Score>& scores, const Seconds& seconds) {
  ordered_json line{{"step", step},
                    {"epoch", epoch(step)},
                    {"val_loss", scores[0].loss},
                    {"val_accuracy", scores[0].accuracy}};
  const auto& entries = config_.normalization.running_stats;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::string name = i < entries.size() ? entries[i].name : "batch";
    line["val_accuracy." + name] = scores[i].accuracy;
    line["val_loss." + name] = scores[i].loss;
  }
  line["val_seconds"] = seconds.evaluation;
  if (seconds.precise > 0) line["precise_seconds"] = seconds.precise;
  write(metrics_, line.dump());
  say(fmt::format("step {} (epoch {}): val_loss {:.4f}, val_accuracy {:.4f}", step, epoch(step),
                  scores[0].loss, scores[0].accuracy));
}

void Recorder::skipped(std::int64_t step, const std::string& why, std::int64_t skipped) {
  write(metrics_, ordered_json{{"step", step}, {"epoch", epoch(step)}, {"skipped", skipped}}.dump());
  progress_.clear();
  spdlog::warn("{}. The step was undone; {} skipped so far", why, skipped);
}

void Recorder::say(const std::string& text) {
  progress_.clear();
  spdlog::info("{}", text);
}

void Recorder::warn(const std::string& text) {
  progress_.clear();
  spdlog::warn("{}", text);
}

void Recorder::write(JsonLines& lines, const std::string& line) {
  try {
    lines.write(line);
  } catch (const DataError& error) {
    if (!behind_) {
      warn(fmt::format("{}; training goes on, and its lines are kept for the next save", error.what()));
    }
    behind_ = true;
  }
}

void Recorder::sync() {
  metrics_.sync();
  if (digests_) digests_->sync();
  behind_ = false;
}

double Recorder::images_per_s() const {
  return whole_.images_per_s();
}

}  // namespace lockstep
