#include "trainer/loop/setup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "layers/ops/processor.h"
#include "trainer/config/nearest.h"
#include "trainer/data/sampler.h"
#include "trainer/loop/agree.h"
#include "trainer/optim/rules.h"
#include "trainer/optim/schedule.h"

namespace lockstep {
namespace {

std::int64_t statistics_group(const Config& config) {
  const std::string& sync = config.normalization.sync;
  if (sync == "global") return config.batch.shards;
  if (sync == "local") return 1;
  return std::min<std::int64_t>(std::stoll(sync), config.batch.shards);
}

std::string reversed(const std::string& text) {
  return {text.rbegin(), text.rend()};
}

// The names that somebody who wrote the pattern may have meant: alike at their begin or at their end.
std::vector<std::string> names_near(const std::string& pattern, const Model& model) {
  constexpr std::size_t most = 3;
  std::vector<std::pair<std::size_t, std::string>> all;
  for (const Parameter& parameter : model.parameters()) {
    const std::string& name = parameter.name;
    all.emplace_back(
        std::min(typing_distance(pattern, name), typing_distance(reversed(pattern), reversed(name))), name);
  }
  std::ranges::stable_sort(all, {}, [](const auto& candidate) { return candidate.first; });
  std::vector<std::string> names;
  for (const auto& [distance, name] : all) {
    if (names.size() < most) names.push_back(in_quotes(name));
  }
  return names;
}

void check_rules(const std::vector<OptimizerRule>& rules, const Model& model) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (parameters_that_fit(rules[i], model) > 0) continue;
    throw UsageError(
        fmt::format("optimizer.rules[{}]: no parameter of the model has a name that fits {}; near are {}", i,
                    in_quotes(rules[i].match), listed(names_near(rules[i].match, model))));
  }
}

}  // namespace

std::int64_t parameters_that_fit(const OptimizerRule& rule, const Model& model) {
  return std::ranges::count_if(
      model.parameters(), [&](const std::string& name) { return fits(rule, name); }, &Parameter::name);
}

InputNormalization input_normalization(const DataConfig& config, const Dataset& training,
                                       const Meanwhile& meanwhile) {
  if (config.mean.empty() && config.deviation.empty()) {
    return measure_normalization(training, config.threads, meanwhile);
  }
  return {config.mean, config.deviation};
}

void require_precision(Element precision) {
  if (computes_in(precision)) return;
  const char* const cap = std::getenv("ONEDNN_MAX_CPU_ISA");
  throw UsageError(
      fmt::format("precision: bf16 needs a processor with AVX-512; this one offers {}{}. Set precision: fp32",
                  processor_features(),
                  cap == nullptr ? "" : fmt::format(", and ONEDNN_MAX_CPU_ISA allows {} of it", cap)));
}

void require_precision(const Config& config) {
  if (config.device == ComputeOn::cpu) require_precision(element_of(config.precision));
}

ModelOptions model_options(const Config& config, const InputFacts& input) {
  ModelOptions options;
  options.spec = config.model;
  options.input = input.shape;
  options.classes = input.classes;
  options.seed = config.seed;
  options.shards = config.batch.shards;
  options.statistics_group = statistics_group(config);
  options.running_statistics = config.normalization.running_stats;
  options.eps = config.normalization.eps;
  options.label_smoothing = config.loss.label_smoothing;
  options.training = element_of(config.precision);
  options.threads = config.threads;
  options.fuse = config.plan.fuse;
  options.recompute = config.plan.recompute;
  return options;
}

Workload workload(const Config& config, std::int64_t training, std::int64_t evaluated) {
  Workload work;
  work.global = config.batch.global;
  if (!config.data.drop_last) work.last = training % config.batch.global;
  work.evaluation = config.evaluation.batch;
  work.last_evaluation = evaluated % config.evaluation.batch;
  if (config.normalization.keeps_precise()) work.observed = config.batch.global;
  if (config.evaluation.batch_statistics) work.observed = std::max(work.observed, config.evaluation.batch);
  work.freezes = config.normalization.freeze_after_epochs > 0;
  work.optimizer_arenas = state_arenas(config.optimizer);
  if (config.train.weight_ema > 0) ++work.optimizer_arenas;
  if (config.train.on_divergence == TrainConfig::OnDivergence::skip) {
    work.optimizer_arenas += 1 + work.optimizer_arenas;  // the snapshot of the step before
  }
  return work;
}

std::unique_ptr<Optimizer> make_optimizer(const Config& config, Model& model) {
  std::vector<ParameterRange> ranges;
  for (const Parameter& parameter : model.parameters()) {
    ranges.push_back({parameter.name, parameter.offset, parameter.count(), parameter.decays()});
  }
  check_rules(config.optimizer.rules, model);
  return make_optimizer(config.optimizer, ranges, model.device_arena().size(), model.device());
}

GradientReducer::Options reduction_options(Communicator& comm, const Config& config) {
  using Overlap = CommConfig::Overlap;
  const bool idle_cores = workers_on_host(comm) * config.threads <= sysconf(_SC_NPROCESSORS_ONLN);
  const bool overlap = config.comm.overlap == Overlap::automatic ? comm.size() > 1 && idle_cores
                                                                 : config.comm.overlap == Overlap::on;
  GradientReducer::Options options;
  options.bucket_bytes = static_cast<std::size_t>(std::llround(config.comm.bucket_mib * (1 << 20)));
  options.overlap = from_rank_0(comm, "overlap", overlap ? 1 : 0) != 0;
  return options;
}

StepCount count_steps(const Config& config, std::int64_t samples) {
  StepCount steps;
  steps.per_epoch = steps_per_epoch(samples, config.batch.global, config.data.drop_last);
  if (steps.per_epoch == 0) {
    throw UsageError(
        fmt::format("no step could be taken: the training set has {} samples, batch.global is {}, and "
                    "data.drop_last drops what does not fill a batch. Set batch.global to at most {}, or "
                    "data.drop_last: false",
                    samples, config.batch.global, samples));
  }
  steps.total = total_steps(config.schedule, steps.per_epoch);
  if (steps.total == 0) throw UsageError("no step would be taken: set schedule.epochs or schedule.steps");
  return steps;
}

bool is_due(const std::optional<std::int64_t>& every_epochs, const std::optional<std::int64_t>& every_steps,
            std::int64_t step, const StepCount& steps) {
  const std::int64_t every = every_steps ? *every_steps : every_epochs.value_or(1) * steps.per_epoch;
  return step == steps.total || step % every == 0;
}

void check_variance(const Config& config, const Model& model, std::int64_t samples, const StepCount& steps) {
  const std::int64_t precise =
      config.normalization.keeps_precise() ? config.normalization.precise_batches : 0;
  for (const std::int64_t step : {std::int64_t{0}, steps.per_epoch - 1}) {
    if (step >= std::max(steps.total, precise)) continue;
    const StepPlace place = step_place(step, samples, config.batch.global, config.data.drop_last);
    const std::string layer = model.undefined_variance(place.samples);
    if (layer.empty()) continue;
    if (step >= steps.total) {
      throw UsageError(fmt::format(
          "precise statistics would be made from a batch of {} sample(s) in {} shards: in layer '{}' a "
          "channel would "
          "have a single value in a group of shards (normalization.sync: {}), and no variance. Set "
          "normalization.precise_batches to at most {}, data.drop_last: true, another batch.global or "
          "batch.shards",
          place.samples, config.batch.shards, layer, config.normalization.sync, step));
    }
    const bool short_batch = place.samples < config.batch.global;
    throw UsageError(fmt::format(
        "step {} trains on {} sample(s) in {} shards: in layer '{}' a channel would have a single value in a "
        "group of shards (normalization.sync: {}), and no variance. Set {}another batch.global or "
        "batch.shards",
        step + 1, place.samples, config.batch.shards, layer, config.normalization.sync,
        short_batch ? "data.drop_last: true, " : ""));
  }
}

}  // namespace lockstep
