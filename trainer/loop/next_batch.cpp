#include "trainer/loop/next_batch.h"

#include "comm/base/error.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/stop.h"

namespace lockstep {

const LoadedBatch* next_batch(Communicator& comm, Loader& loader) {
  const LoadedBatch* batch = nullptr;
  agree(comm, "next batch", [&] {
    batch = loader.next();
    if (stop_requested()) throw Error(ExitCode::stopped, "asked to stop");
  });
  return batch;
}

}  // namespace lockstep
