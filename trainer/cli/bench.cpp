#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/workers_option.h"
#include "trainer/config/config.h"
#include "trainer/loop/bench_step.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

Usage usage() {
  Usage usage;
  usage.command = "bench step";
  usage.synopsis =
      "[CONFIG.yaml] [--set key=value]... [--model NAME] [--batch GLOBAL] [--workers N] [--json]";
  usage.purpose =
      "Measures training steps on random images in memory: forward, backward, exchange and update, without "
      "reading data. Images are those of data.synthetic where the configuration names that data set, else "
      "32x32x3 for resnet20 and 28x28x1 for other models. Workers are as in train.";
  usage.example =
      "lockstep bench step --model cnn --batch 256\n"
      "mpirun -n 2 lockstep bench step --model resnet20 --json";
  usage.options = {
      set_option(),
      {"model", "NAME", "the same as --set model.name=NAME"},
      {"batch", "GLOBAL", "the same as --set batch.global=GLOBAL"},
      workers_option(),
      {"json", "", "print one JSON object: images_per_s (median), min, max, and what was measured"},
  };
  usage.operands = {"CONFIG.yaml"};
  return usage;
}

Config configuration(const Arguments& arguments) {
  std::vector<std::string> settings = arguments.values("set");
  if (const auto model = arguments.value("model")) settings.push_back("model.name=" + *model);
  if (const auto batch = arguments.value("batch")) settings.push_back("batch.global=" + *batch);
  if (arguments.operands().empty()) return parse_config("{}", "defaults", settings);
  return load_config(arguments.operands()[0], settings);
}

InputFacts images(const Config& config) {
  const SyntheticConfig& synthetic = config.data.synthetic;
  if (config.data.dataset == DataConfig::Dataset::synthetic) {
    return {{synthetic.height, synthetic.width, synthetic.channels}, synthetic.classes};
  }
  if (config.model.name == "resnet20") return {{32, 32, 3}, 10};
  return {{28, 28, 1}, 10};
}

void print(const Config& config, const InputFacts& input, int workers, StepSpeed speed, bool json) {
  auto& rates = speed.images_per_s;
  std::sort(rates.begin(), rates.end());
  const double median = rates[rates.size() / 2];
  const std::string model = config.model.name.empty() ? "layers" : config.model.name;
  if (!json) {
    fmt::print(
        "{} on {}: {:.0f} images/s (min {:.0f}, max {:.0f}); batch {}, {} shards, {} worker(s) of {} "
        "thread(s), {} windows of {} steps\n",
        model, to_string(input.shape), median, rates.front(), rates.back(), config.batch.global,
        config.batch.shards, workers, config.threads, rates.size(), speed.steps_per_window);
    return;
  }
  const nlohmann::ordered_json report{
      {"images_per_s", median},       {"min", rates.front()},
      {"max", rates.back()},          {"model", model},
      {"batch", config.batch.global}, {"shards", config.batch.shards},
      {"workers", workers},           {"threads", config.threads},
      {"windows", rates.size()},      {"steps_per_window", speed.steps_per_window}};
  fmt::print("{}\n", report.dump());
}

// What follows "bench step". The other kinds are named so that nobody searches a typing error.
std::vector<std::string> behind_kind(const std::vector<std::string>& command_line) {
  const std::string kind = command_line.empty() ? "" : command_line.front();
  if (kind == "step") return {command_line.begin() + 1, command_line.end()};
  if (kind == "--help") return command_line;
  if (kind == "allreduce" || kind == "norm" || kind == "peak") {
    throw UsageError(fmt::format("bench {} is not part of this version; bench step is", kind));
  }
  throw UsageError("bench: expected what to measure: lockstep bench step (see lockstep bench step --help)");
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), behind_kind(arguments));
  if (!options) return 0;

  const Config config = configuration(*options);
  const Workers workers = choose_workers(config, requested_workers(*options));
  const InputFacts input = images(config);
  run_workers(workers, config.comm, [&](Communicator& comm) {
    const StepSpeed speed = measure_steps(comm, config, input);
    if (comm.rank() == 0) print(config, input, comm.size(), speed, options->has("json"));
  });
  return 0;
}

}  // namespace lockstep
