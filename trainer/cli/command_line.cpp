#include "trainer/cli/command_line.h"

#include <csignal>

#include "comm/base/log.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/dispatch.h"
#include "trainer/cli/program.h"
#include "trainer/loop/workers.h"

namespace lockstep {

int run_command_line(int argc, char** argv) {
  if (argc > 0) set_program_name(argv[0]);
  start_log(0);                   // until the workers of a job know their ranks
  std::signal(SIGXFSZ, SIG_IGN);  // a file above `ulimit -f` is then a write that fails, and an error to tell
  const CommandTable table{
      .version = LOCKSTEP_VERSION,
      .commands = {{"train", "train a network as a configuration says", run_train},
                   {"evaluate", "accuracy and loss of a trained network", run_evaluate},
                   {"predict", "what a trained network sees in images", run_predict},
                   {"export", "a trained network as a file for other programs", run_export},
                   {"inspect", "what is in a checkpoint, or behind a configuration", run_inspect},
                   {"compare", "where two runs begin to differ", run_compare},
                   {"config", "every key, or the effective configuration", run_config},
                   {"bench", "measure the speed of training", run_bench}},
      .share_failure = share_failure};
  return dispatch(table, {argv + 1, argv + argc});
}

}  // namespace lockstep
