#include <csignal>

#include "trainer/cli/commands.h"
#include "trainer/cli/dispatch.h"
#include "trainer/loop/workers.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file above `ulimit -f` is then a write that fails, and an error to tell
  const lockstep::CommandTable commands{
      .version = LOCKSTEP_VERSION,
      .commands = {{"train", "train a network as a configuration says", lockstep::run_train},
                   {"evaluate", "accuracy and loss of a trained network", lockstep::run_evaluate},
                   {"predict", "what a trained network sees in images", lockstep::run_predict},
                   {"export", "a trained network as a file for other programs", lockstep::run_export},
                   {"inspect", "what is in a checkpoint, or behind a configuration", lockstep::run_inspect},
                   {"compare", "where two runs begin to differ", lockstep::run_compare},
                   {"config", "every key, or the effective configuration", lockstep::run_config},
                   {"bench", "measure the speed of training", lockstep::run_bench}},
      .share_failure = lockstep::share_failure};
  return lockstep::dispatch(commands, {argv + 1, argv + argc});
}
