#pragma once

#include <chrono>
#include <functional>

#include "comm/threads/threads.h"

namespace lockstep::test {

// Runs `worker` on `size` workers, which are threads. Expectations may be used in all of them. A worker that
// waits for another gives up after 20 s, so that a mistake ends as a failure and not as a hung test.
inline void run_workers(int size, const std::function<void(Communicator&)>& worker) {
  run_threads(size, [&](Communicator& comm) {
    comm.set_timeout(std::chrono::seconds(20));
    worker(comm);
  });
}

}  // namespace lockstep::test
