#pragma once

#include "trainer/loop/train.h"
#include "trainer/loop/workers.h"

namespace lockstep::test {

// A training on so many workers, which are threads; answers what rank 0 came to.
inline Outcome run(const Config& config, int workers, RunDirectory::Open open = RunDirectory::Open::fresh) {
  Outcome outcome = Outcome::finished;
  run_workers({Workers::Kind::threads, workers, 0}, config.comm, [&](Communicator& comm) {
    const Outcome mine = train(comm, config, open);
    if (comm.rank() == 0) outcome = mine;
  });
  return outcome;
}

}  // namespace lockstep::test
