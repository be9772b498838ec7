#include "trainer/cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iterator>

#include "comm/base/error.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/program.h"
#include "trainer/cli/workers_option.h"
#include "trainer/config/config.h"
#include "trainer/config/nearest.h"
#include "trainer/loop/device.h"
#include "trainer/loop/known_input.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

constexpr int window_against_ms = 250;  // many short ones

struct Kind {
  std::string name;
  std::string purpose;
  std::string example;
  bool of_a_model;  // else of the exchange between processes alone
  bool a_step;      // of training: on real images, or against another setting, if told to
  bool alone;       // one worker, of one thread
  int window_ms;    // how long a window takes
  std::string (*run)(Communicator& comm, const Bench& bench);
};

const std::array<Kind, 5>& kinds() {
  static const std::array<Kind, 5> all{{
      {"step",
       "Measures training steps on random images in memory: forward, backward, exchange and update, without "
       "reading data. With --data on the images of the configuration's data set instead, read, decoded and "
       "augmented by data.threads threads a worker while the step before computes. With --against in turn "
       "with steps that have another setting, in many short windows, and tells how many times the one take "
       "the other.",
       "lockstep bench step --model cnn --batch 256\n"
       "mpirun -n 2 lockstep bench step --model resnet20 --json\n"
       "mpirun -n 2 lockstep bench step --data --model resnet20 --set data.dataset=cifar10 --set "
       "data.path=cifar\n"
       "mpirun -n 2 lockstep bench step --model resnet20 --against comm.check_order=false",
       true, true, false, 1'000, bench_step},
      {"peak",
       "Measures the bare primitives of the model's convolutions and linear layers, forward and backward, "
       "with the "
       "shards and layouts of training, in turn with whole training steps, and tells how many times their "
       "sum a step takes.",
       "mpirun -n 2 lockstep bench peak --model resnet20 --batch 128", true, false, false, 1'000, bench_peak},
      {"norm",
       "Measures training steps with batch normalization over the whole batch, in turn with steps in which "
       "each shard has its own statistics and none are kept for inference, so that nothing is exchanged for "
       "them, and tells how many times the one take the other. normalization.sync is of no account.",
       "mpirun -n 2 lockstep bench norm --model resnet20 --batch 128", true, false, false, 1'000, bench_norm},
      {"predict",
       "Measures how many images a second one thread classifies, as predict does: from raw pixels in memory "
       "to "
       "the likeliest class, batch norm folded, with random weights. --batch is how many images there are at "
       "a time.",
       "lockstep bench predict --model resnet20 --batch 64 --json", true, false, true, 1'000, bench_predict},
      {"allreduce",
       "Measures the reduction along the fixed tree, as training sums its gradients, in turn with "
       "MPI_Allreduce, "
       "from 64 B to 16 MiB. batch.shards, comm.bucket_mib and the number of workers are what matters.",
       "mpirun -n 2 lockstep bench allreduce --set batch.shards=8 --json", false, false, false, 30,
       bench_allreduce},
  }};
  return all;
}

Usage usage(const Kind& kind) {
  Usage usage;
  usage.command = "bench " + kind.name;
  usage.purpose = kind.purpose;
  usage.example = kind.example;
  usage.operands = {"CONFIG.yaml"};
  usage.options = {set_option()};
  if (kind.of_a_model) {
    usage.synopsis = "[CONFIG.yaml] [--set key=value]... [--model NAME] [--batch GLOBAL] ";
    if (!kind.alone) usage.synopsis += "[--workers N] ";
    usage.purpose +=
        " Images are like those of the data set of CONFIG.yaml, or that --set names; of an image_folder in "
        "as many classes as the model is made for, of idx altogether. Else 32x32x3 for resnet20, 224x224x3 "
        "in 1000 classes for resnet18, resnet34 and resnet50 (16 in a batch where there is no CONFIG.yaml), "
        "and 28x28x1 for other models. A layer for which oneDNN has its reference code alone is refused.";
    if (!kind.alone) usage.purpose += " Workers are as in train.";
    usage.options.push_back({"model", "NAME", "the same as --set model.name=NAME"});
    usage.options.push_back({"batch", "GLOBAL", "the same as --set batch.global=GLOBAL"});
    if (!kind.alone) usage.options.push_back(workers_option());
    if (kind.a_step) {
      usage.synopsis += "[--data | --against key=value] ";
      usage.options.push_back({"data", "", "on the images of data.dataset, as training reads them"});
      usage.options.push_back({"against", "key=value", "in turn with steps that have this setting instead"});
    }
  } else {
    usage.synopsis = "[CONFIG.yaml] [--set key=value]... ";
  }
  usage.synopsis += "[--window-ms MS] [--json]";
  const std::string shorter = kind.a_step ? fmt::format("; {} with --against", window_against_ms) : "";
  usage.options.push_back({"window-ms", "MS",
                           fmt::format("how long a window takes, of which the median counts (default {}{})",
                                       kind.window_ms, shorter)});
  usage.options.push_back({"json", "", "print one JSON object: medians, spreads, and what was measured"});
  return usage;
}

std::string help_of_all() {
  std::string text = fmt::format("usage: {} bench KIND [CONFIG.yaml] [OPTIONS]\n\n", program_name());
  for (const Kind& kind : kinds()) text += fmt::format("  {:<10}{}\n", kind.name, kind.purpose);
  return text + fmt::format("\n{} bench KIND --help shows the options\n", program_name());
}

// Made for ImageNet: a batch of the usual size has no room on a small machine.
bool large_images(const std::string& model) {
  return model == "resnet18" || model == "resnet34" || model == "resnet50";
}

// With `more` settings behind those of the command line.
Config configuration(const Arguments& arguments, const std::vector<std::string>& more = {}) {
  std::vector<std::string> settings = arguments.values("set");
  if (const auto model = arguments.value("model")) settings.push_back("model.name=" + *model);
  if (const auto batch = arguments.value("batch")) settings.push_back("batch.global=" + *batch);
  settings.insert(settings.end(), more.begin(), more.end());
  if (!arguments.operands().empty()) return load_config(arguments.operands()[0], settings);
  const Config plain = parse_config("{}", "defaults", settings);
  return large_images(plain.model.name) ? parse_config("batch: {global: 16}", "defaults", settings) : plain;
}

InputFacts images_made_for(const std::string& model) {
  if (large_images(model)) return {{224, 224, 3}, 1000};
  if (model == "resnet20") return {{32, 32, 3}, 10};
  return {{28, 28, 1}, 10};
}

// Those of the data set where somebody chose one, as far as they are known without reading it.
InputFacts images(const Config& config, const Arguments& arguments) {
  const InputFacts usual = images_made_for(config.model.name);
  const bool chosen = !arguments.operands().empty() || config.data.dataset != DataConfig().dataset;
  if (!chosen) return usual;
  const ImageConfig& image = config.data.image;
  if (config.data.dataset == DataConfig::Dataset::image_folder) {
    return {{image.height, image.width, image.channels}, usual.classes};
  }
  return known_input(config.data).value_or(usual);
}

const Kind& kind_named(const std::string& name) {
  const auto kind = std::ranges::find(kinds(), name, &Kind::name);
  if (kind != kinds().end()) return *kind;
  std::vector<std::string> names;
  for (const Kind& known : kinds()) names.push_back(known.name);
  const std::string wrong =
      name.empty() ? "" : fmt::format("; did you mean '{}' by {}?", nearest(name, names), in_quotes(name));
  throw UsageError(fmt::format("bench: expected what to measure: {}{}", fmt::join(names, ", "), wrong));
}

void require_processes(const Kind& kind, const Workers& workers) {
  if (workers.kind == Workers::Kind::mpi && workers.count > 1) return;
  throw UsageError(
      fmt::format("bench {0} measures what processes exchange over MPI, so it needs several of them: "
                  "mpirun -n 2 {1} bench {0}",
                  kind.name, program_name()));
}

double window_seconds(const Kind& kind, const Arguments& arguments) {
  constexpr int longest = 600'000;
  const int usual = arguments.has("against") ? window_against_ms : kind.window_ms;
  return static_cast<double>(arguments.integer("window-ms", usual, 1, longest)) / 1'000;
}

std::optional<Bench::Against> against(const Arguments& arguments, const Config& config) {
  const auto setting = arguments.value("against");
  if (!setting) return std::nullopt;
  const Config other = configuration(arguments, {*setting});
  if (other.comm.backend != config.comm.backend || other.device != config.device) {
    throw UsageError(
        fmt::format("bench step --against {}: both steps exchange over the same communicator; "
                    "measure them one after another",
                    in_quotes(*setting)));
  }
  choose_workers(other, requested_workers(arguments));
  return Bench::Against{*setting, other, images(other, arguments)};
}

}  // namespace

std::string model_name(const Config& config) {
  return config.model.name.empty() ? "layers" : config.model.name;
}

Spread spread(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

Interval interval_of_median(std::vector<double> values) {
  std::ranges::sort(values);
  const auto count = static_cast<double>(values.size());
  const auto rank = static_cast<std::size_t>(std::max(count / 2 - 0.98 * std::sqrt(count), 1.0));
  return {values[rank - 1], values[values.size() - rank]};
}

std::vector<double> ratios(const std::vector<double>& above, const std::vector<double>& below) {
  std::vector<double> result;
  std::ranges::transform(above, below, std::back_inserter(result), std::divides<>());
  return result;
}

int run_bench(const std::vector<std::string>& arguments) {
  const std::string name = arguments.empty() ? "" : arguments.front();
  if (name == "--help") {
    if (speaks()) fmt::print("{}", help_of_all());
    return 0;
  }
  const Kind& kind = kind_named(name);
  const auto options = parse_arguments(usage(kind), {arguments.begin() + 1, arguments.end()});
  if (!options) return 0;
  require_exclusive(usage(kind), *options, "data", "against");

  const Config config = configuration(*options);
  Bench bench{.config = config,
              .input = images(config, *options),
              .window_seconds = window_seconds(kind, *options),
              .json = options->has("json"),
              .real_data = kind.a_step && options->has("data")};
  if (kind.alone) require_one_worker("bench " + kind.name);
  const Workers workers = choose_workers(config, requested_workers(*options));
  bench.against = against(*options, config);
  if (!kind.of_a_model) require_processes(kind, workers);
  run_workers(workers, transport_of(config), [&](Communicator& comm) {
    const std::string report = kind.run(comm, bench);
    if (comm.rank() == 0) fmt::print("{}\n", report);
  });
  return 0;
}

}  // namespace lockstep
