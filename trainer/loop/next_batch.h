#pragma once

#include "comm/communicator.h"
#include "trainer/data/loader.h"

namespace lockstep {

// The loader's next batch, null after the last one. Collective: before each batch all workers hear of one
// that could not be read, and throw the same error, and of a request to stop, of any of them: an Error of
// code `stopped`.
const LoadedBatch* next_batch(Communicator& comm, Loader& loader);

}  // namespace lockstep
