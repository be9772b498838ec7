#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include "comm/base/error.h"
#include "layers/model/folding.h"
#include "layers/ops/threads.h"
#include "trainer/checkpoint/atomic_file.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/export/onnx.h"
#include "trainer/loop/inference.h"

namespace lockstep {
namespace {

Usage usage() {
  Usage usage;
  usage.command = "export";
  usage.synopsis = "CHECKPOINT --onnx FILE [--running-stats ENTRY] [--no-fold]";
  usage.purpose =
      "Writes a trained network as a file of ONNX. Its input 'images' are raw pixel values, 0 to 255, in "
      "fp32: [batch, channels, height, width]; their normalization is part of the network. Its output "
      "'logits' is [batch, classes]. The names of the classes are in the file's metadata.";
  usage.example = "lockstep export runs/fashion_mnist/final.safetensors --onnx fashion_mnist.onnx";
  usage.options = {
      {"onnx", "FILE", "the file to write; one that is there is replaced"},
      {"running-stats", "ENTRY",
       "which running statistics to use, as normalization.running_stats names them (default: the first)"},
      {"no-fold", "",
       "keep batch norms as BatchNormalization (default: as part of the convolution or linear layer "
       "before them)"},
  };
  usage.operands = {"CHECKPOINT"};
  usage.required_operands = 1;
  return usage;
}

std::string output_file(const Arguments& options) {
  const auto file = options.value("onnx");
  if (!file) throw UsageError("export: say what to write, with --onnx FILE");
  const std::string& checkpoint = options.operands()[0];
  std::error_code ignored;
  if (std::filesystem::equivalent(*file, checkpoint, ignored)) {
    throw UsageError(fmt::format(
        "--onnx {}: is the checkpoint itself; it would be overwritten, name another file", *file));
  }
  return *file;
}

// What the checkpoint tells about itself, and what was made of it.
Metadata describe_export(const Trained& trained, std::size_t entry) {
  Metadata metadata = describe(trained.config, trained.facts);
  metadata.erase("format_version");  // of the checkpoint's format
  metadata["running_stats"] = trained.config.normalization.running_stats[entry].name;
  return metadata;
}

}  // namespace

int run_export(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("export");
  prepare_compute_thread();

  const std::string file = output_file(*options);
  Trained trained = open_trained(options->operands()[0], {});
  const std::size_t entry = trained.kept_entry(options->value("running-stats").value_or(""));
  InferenceNetwork network = inference_network(trained.model, entry);
  if (!options->has("no-fold")) fold_batch_norms(network);

  const InputNormalization& input = trained.facts.normalization;
  AtomicFile onnx(file);
  onnx.write(onnx_file(network, input.mean, input.deviation, describe_export(trained, entry)));
  onnx.commit();
  return 0;
}

}  // namespace lockstep
