#include "trainer/loop/precise.h"

#include <fmt/format.h>

#include <algorithm>

#include "comm/base/error.h"
#include "trainer/loop/next_batch.h"

namespace lockstep {

namespace {

// Of the weights that the model has.
void make_for_model(Communicator& comm, Session& session) {
  comm.set_phase("precise statistics");
  const Config& config = session.config();
  const Inputs& inputs = session.inputs();
  const std::int64_t batches = std::min(config.normalization.precise_batches, session.steps().per_epoch);
  Loader loader = Loader::training(inputs.data.train, inputs.transform.plain(), session.model().layout(),
                                   config.seed, config.batch.global, config.data.drop_last, 0, batches,
                                   config.data.threads, session.model().options().device);
  try {
    session.model().make_precise(comm, [&]() -> const BatchInput* {
      const LoadedBatch* batch = next_batch(comm, loader);
      return batch == nullptr ? nullptr : &batch->input();
    });
  } catch (const DivergedError& error) {
    throw DivergedError(fmt::format("step {}: {}", session.counters().step, error.what()));
  }
}

}  // namespace

void make_precise(Communicator& comm, Session& session) {
  make_for_model(comm, session);
  if (const WeightAverage* const average = session.average()) {
    const WeightAverage::InPlace averaged(*average, [&] { return session.model().state(); });
    make_for_model(comm, session);
  }
  session.precise_made();
}

}  // namespace lockstep
