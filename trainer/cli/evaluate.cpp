#include "trainer/loop/evaluate.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/single/single.h"
#include "layers/ops/threads.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/loop/skipped.h"
#include "trainer/loop/subject.h"

namespace lockstep {
namespace {

Usage usage() {
  Usage usage;
  usage.command = "evaluate";
  usage.synopsis =
      "CHECKPOINT [--config FILE] [--set key=value]... [--split test|validation|train] [--running-stats "
      "ENTRY] "
      "[--precision fp32|bf16] [--json]";
  usage.purpose =
      "Evaluates a trained model on one machine: accuracy and loss over a whole split, exactly as training "
      "computed them. The data are where the run's config.yaml says (beside the checkpoint or above it), or "
      "where --set data.path says. Of a file of another program, such as torchvision's weights as "
      "safetensors, "
      "--config or --set tell the model and the data.";
  usage.example = "lockstep evaluate runs/fashion_mnist/final.safetensors";
  usage.options = {
      set_option(),
      {"config", "FILE", "a configuration with the model and the data of a file of another program"},
      {"split", "NAME", "test, validation or train (default: test)"},
      {"running-stats", "ENTRY",
       "which running statistics to use, as normalization.running_stats names them "
       "(default: the first); batch: none of them, but each batch's own, as in training"},
      {"precision", "WORD",
       "fp32, as evaluations of a training have it whatever its own precision, or bf16 (default: fp32)"},
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

Element precision_of(const std::string& word) {
  if (word == "fp32") return Element::f32;
  if (word == "bf16") return Element::bf16;
  throw UsageError(fmt::format("--precision {}: expected fp32 or bf16", word));
}

}  // namespace

int run_evaluate(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("evaluate");
  prepare_compute_thread();

  const auto& settings = options->values("set");
  Subject subject = open_subject(options->operands()[0], options->value("config"), settings,
                                 precision_of(options->value("precision").value_or("fp32")));
  tell_skipped(subject.data);
  Trained& trained = subject.trained;
  const std::size_t entry = trained.entry(options->value("running-stats").value_or(""));
  const std::string split = options->value("split").value_or("test");
  const auto dataset = choose_split(subject.data, split);

  const std::int64_t batch = trained.config.evaluation.batch;
  if (entry == batch_statistics) check_batch_statistics(trained.model, dataset->size(), batch);

  const auto comm = make_single();
  const Score score = evaluate(*comm, trained.model, dataset, trained.transform(), batch, {entry},
                               trained.config.data.threads)
                          .front();
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
