// A whole training run from C++: uses_trainer CONFIG.yaml WORKERS
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/loop/train.h"
#include "trainer/loop/workers.h"

int main(int, char** argv) {
  try {
    const lockstep::Config config = lockstep::load_config(argv[1], {});
    const lockstep::Workers workers = lockstep::choose_workers(config, std::atoi(argv[2]));
    lockstep::run_workers(workers, config.comm, [&](lockstep::Communicator& comm) {
      lockstep::train(comm, config, lockstep::RunDirectory::Open::overwrite);
    });
  } catch (const lockstep::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
