#include "trainer/loop/train.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "comm/base/error.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/workers_option.h"
#include "trainer/config/config.h"
#include "trainer/loop/device.h"
#include "trainer/loop/stop.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

Usage usage() {
  Usage usage;
  usage.command = "train";
  usage.synopsis = "CONFIG.yaml [--set key=value]... [--resume | --overwrite] [--workers N] [--trace FILE]";
  usage.purpose =
      "Trains the model of a configuration and writes a run directory: final.safetensors for inference, "
      "checkpoints to resume from, metrics.jsonl. Under mpirun or srun every process is a worker; alone, "
      "--workers N threads of this process are. The number of workers does not change a bit of the result. "
      "SIGUSR1, SIGTERM and the end of train.max_time save a checkpoint and end the run with code 75; run "
      "again "
      "with --resume.";
  usage.example =
      "mpirun -n 2 lockstep train configs/fashion_mnist.yaml\n"
      "lockstep train configs/fashion_mnist.yaml --workers 2 --set optimizer.lr=0.05 --overwrite";
  usage.options = {
      set_option(),
      {"resume", "", "go on from the newest complete checkpoint; start afresh where there is none"},
      {"overwrite", "", "remove the run that run_dir holds, and start afresh"},
      workers_option(),
      {"trace", "FILE",
       "write what every worker did when, for Perfetto or chrome://tracing; the first steps only"},
  };
  usage.operands = {"CONFIG.yaml"};
  usage.required_operands = 1;
  return usage;
}

RunDirectory::Open how_to_open(const Arguments& arguments) {
  if (arguments.has("resume")) return RunDirectory::Open::resume;
  return arguments.has("overwrite") ? RunDirectory::Open::overwrite : RunDirectory::Open::fresh;
}

// A run writes the effective configuration to run_dir/config.yaml, over whatever is there:
// over its own where it goes on, but not over the user's.
void keep_own_file(const std::string& file, const Config& config, bool resume) {
  const std::filesystem::path run = config.run_dir;
  std::error_code none_there;
  if (!std::filesystem::equivalent(file, run / "config.yaml", none_there)) return;
  if (resume && std::filesystem::exists(run / "checkpoints")) return;
  throw UsageError(fmt::format(
      "{}: the run would replace this file by its own config.yaml; choose another run_dir, or copy "
      "the file elsewhere and start from there",
      file));
}

}  // namespace

int run_train(const std::vector<std::string>& arguments) {
  const StopSignals signals;  // first: a signal that comes early is heard after the first step
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_exclusive(usage(), *options, "resume", "overwrite");

  const Config config = load_config(options->operands()[0], options->values("set"));
  keep_own_file(options->operands()[0], config, options->has("resume"));
  const Workers workers = choose_workers(config, requested_workers(*options));
  auto outcome = Outcome::finished;
  run_workers(workers, transport_of(config), [&](Communicator& comm) {
    const Outcome mine = train(comm, config, how_to_open(*options), options->value("trace").value_or(""));
    if (comm.rank() == 0 || workers.kind == Workers::Kind::mpi) outcome = mine;
  });
  return static_cast<int>(outcome == Outcome::stopped ? ExitCode::stopped : ExitCode::done);
}

}  // namespace lockstep
