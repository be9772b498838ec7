#include "trainer/loop/precise.h"

#include <algorithm>

namespace lockstep {

void make_precise(Communicator& comm, Session& session) {
  comm.set_phase("precise statistics");
  const Config& config = session.config();
  const Inputs& inputs = session.inputs();
  const std::int64_t batches = std::min(config.normalization.precise_batches, session.steps().per_epoch);
  Loader loader = Loader::training(inputs.data.train, inputs.transform.plain(), session.model().layout(),
                                   config.seed, config.batch.global, config.data.drop_last, 0, batches);
  session.model().make_precise(comm, [&]() -> const BatchInput* {
    const LoadedBatch* batch = loader.next();
    return batch == nullptr ? nullptr : &batch->input();
  });
}

}  // namespace lockstep
