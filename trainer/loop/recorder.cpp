#include "trainer/loop/recorder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "trainer/config/config.h"
#include "trainer/metrics/summary.h"

namespace lockstep {

using nlohmann::ordered_json;

namespace {

// In Markdown, which TensorBoard shows.
std::string as_code(const std::string& yaml) {
  return fmt::format("```\n{}```\n", yaml);
}

EventFile::ByTag<std::span<const float>> running_statistics(const std::vector<ModelTensor>& state) {
  EventFile::ByTag<std::span<const float>> statistics;
  for (const ModelTensor& tensor : state) {
    if (!tensor.name.ends_with(".running_mean") && !tensor.name.ends_with(".running_var")) continue;
    const auto* values = reinterpret_cast<const float*>(tensor.bytes.data());
    statistics.emplace_back(tensor.name, std::span(values, tensor.bytes.size() / sizeof(float)));
  }
  return statistics;
}

}  // namespace

Recorder::Recorder(const RunDirectory& directory, const Config& config, const StepCount& steps,
                   std::int64_t first_step)
    : config_(config),
      steps_(steps),
      metrics_(directory.metrics(), first_step),
      events_(directory.path(), first_step),
      progress_(true, first_step) {
  if (config.train.digest_every > 0) digests_.emplace(directory.digests(), first_step);
  attempt([&] { events_.text(first_step + 1, "config", as_code(to_yaml(config))); });
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
    tell(line);
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

void Recorder::evaluated(std::int64_t step, const std::vector<Score>& scores,
                         const std::optional<Score>& averaged, const Seconds& seconds,
                         const std::vector<ModelTensor>& state) {
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
  if (averaged) {
    line["val_accuracy.ema_weights"] = averaged->accuracy;
    line["val_loss.ema_weights"] = averaged->loss;
  }
  line["val_seconds"] = seconds.evaluation;
  if (seconds.precise > 0) line["precise_seconds"] = seconds.precise;
  tell(line);
  const auto statistics = running_statistics(state);
  if (!statistics.empty()) attempt([&] { events_.histograms(step, statistics); });
  say(fmt::format("step {} (epoch {}): val_loss {:.4f}, val_accuracy {:.4f}", step, epoch(step),
                  scores[0].loss, scores[0].accuracy));
}

void Recorder::skipped(std::int64_t step, const std::string& why, std::int64_t skipped) {
  tell({{"step", step}, {"epoch", epoch(step)}, {"skipped", skipped}});
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

void Recorder::summarize() {
  attempt([&] { progress_.show(fmt::format("\n{}\n", summary_table(metrics_.text()))); });
}

void Recorder::digested(const std::string& line) {
  attempt([&] { digests_->write(line); });
}

void Recorder::tell(const ordered_json& line) {
  attempt([&] { metrics_.write(line.dump()); });
  EventFile::ByTag<double> values;
  for (const auto& [key, value] : line.items()) {
    if (value.is_number() && key != "step" && key != "epoch") values.emplace_back(key, value.get<double>());
  }
  attempt([&] { events_.scalars(line["step"].get<std::int64_t>(), values); });
}

void Recorder::attempt(const std::function<void()>& write) {
  try {
    write();
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
  events_.sync();
  behind_ = false;
}

double Recorder::images_per_s() const {
  return whole_.images_per_s();
}

}  // namespace lockstep
