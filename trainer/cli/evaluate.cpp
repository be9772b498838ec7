#include "trainer/loop/evaluate.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/single/single.h"
#include "layers/ops/threads.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/loop/inference.h"

namespace lockstep {
namespace {

Usage usage() {
  Usage usage;
  usage.command = "evaluate";
  usage.synopsis =
      "CHECKPOINT [--set key=value]... [--split test|validation|train] [--running-stats ENTRY] [--json]";
  usage.purpose =
      "Evaluates a trained model on one machine: accuracy and loss over a whole split, exactly as training "
      "computed them. The data are where the run's config.yaml says (beside the checkpoint or above it), or "
      "where --set data.path says.";
  usage.example = "lockstep evaluate runs/fashion_mnist/final.safetensors";
  usage.options = {
      set_option(),
      {"split", "NAME", "test, validation or train (default: test)"},
      {"running-stats", "ENTRY",
       "which running statistics to use, as normalization.running_stats names them "
       "(default: the first); batch: none of them, but each batch's own, as in training"},
      {"json", "", "print one JSON object: accuracy, loss, samples"},
  };
  usage.operands = {"CHECKPOINT"};
  usage.required_operands = 1;
  return usage;
}

std::shared_ptr<const Dataset> choose_split(const Datasets& data, const std::string& split) {
  if (split == "test") return data.test;
  if (split == "train") return data.train;
  if (split != "validation") {
    throw UsageError(fmt::format("--split {}: expected test, validation or train", split));
  }
  if (!data.validation) throw UsageError("--split validation: the run kept none (data.validation is 0)");
  return data.validation;
}

void check_fits(const Dataset& dataset, const Trained& trained) {
  const InputFacts& input = trained.facts.input;
  if (dataset.shape() == input.shape && dataset.classes() == input.classes) return;
  throw DataError(
      fmt::format("the data set has images of {} in {} classes, but the model was trained on {} in {}",
                  to_string(dataset.shape()), dataset.classes(), to_string(input.shape), input.classes));
}

}  // namespace

int run_evaluate(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("evaluate");
  prepare_compute_thread();

  Trained trained = open_trained(options->operands()[0], options->values("set"));
  std::string& data_path = trained.config.data.path;
  if (data_path.empty()) data_path = data_path_of_run(options->operands()[0]);
  const std::size_t entry = trained.entry(options->value("running-stats").value_or(""));
  const std::string split = options->value("split").value_or("test");
  const auto dataset = choose_split(open_datasets(trained.config.data, trained.config.seed), split);
  check_fits(*dataset, trained);

  const std::int64_t batch = trained.config.evaluation.batch;
  if (entry == batch_statistics) check_batch_statistics(trained.model, dataset->size(), batch);

  const auto comm = make_single();
  const Score score = evaluate(*comm, trained.model, dataset, trained.transform(), batch, {entry}).front();
  if (options->has("json")) {
    const nlohmann::ordered_json result{
        {"accuracy", score.accuracy}, {"loss", score.loss}, {"samples", score.samples}};
    fmt::print("{}\n", result.dump());
  } else {
    fmt::print("{}: accuracy {:.4f} ({} of {}), loss {:.6f}\n", split, score.accuracy, score.correct,
               score.samples, score.loss);
  }
  return 0;
}

}  // namespace lockstep
